#include "services/agent/process/priority.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

constexpr absl::string_view kNicenessText = "10";
static_assert(kJobNiceness == 10);

}  // namespace

void GiveWayToServices() {
  if (getpriority(PRIO_PROCESS, 0) < kJobNiceness) setpriority(PRIO_PROCESS, 0, kJobNiceness);
}

bool LetSessionGiveWay(pid_t leader) {
  if (getsid(leader) != leader) return false;
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%d/autogroup", static_cast<int>(leader));
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return !file.valid() || write(file.get(), kNicenessText.data(), kNicenessText.size()) >= 0 || errno != EAGAIN;
}

}  // namespace riseml::agent
