#include "services/common/base/priority.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml {
namespace {

constexpr absl::string_view kNicenessText = "10";
constexpr absl::string_view kSaysNiceness = " nice 10\n";
static_assert(kBackgroundNiceness == 10);

// True if the file of a session says that it gives way already: "/autogroup-12 nice 10".
bool HasNiceness(const char* path) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t size = file.valid() ? read(file.get(), text, sizeof text) : -1;
  return size > 0 &&
         absl::string_view(text, static_cast<std::size_t>(size)).find(kSaysNiceness) != absl::string_view::npos;
}

}  // namespace

void GiveWayToServices() {
  if (getpriority(PRIO_PROCESS, 0) < kBackgroundNiceness) setpriority(PRIO_PROCESS, 0, kBackgroundNiceness);
}

bool LetSessionGiveWay(pid_t leader) {
  if (getsid(leader) != leader) return false;
  setpriority(PRIO_PROCESS, static_cast<id_t>(leader), kBackgroundNiceness);
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%d/autogroup", static_cast<int>(leader));
  if (HasNiceness(path)) return true;
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return !file.valid() || write(file.get(), kNicenessText.data(), kNicenessText.size()) >= 0 || errno != EAGAIN;
}

}  // namespace riseml
