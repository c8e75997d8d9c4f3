#include "services/agent/environment/leavings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/agent/run/tree_copy.h"
#include "services/common/base/files/beneath.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMostNote = 4096;

}  // namespace

std::string LeftInCode(const std::string& environment_path) { return environment_path + "/.riseml/code"; }
std::string LeftInHome(const std::string& environment_path) { return environment_path + "/.riseml/home"; }

std::string NoteOfBuild(const std::string& environment_path) {
  const absl::StatusOr<UniqueFd> environment = OpenFile(environment_path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!environment.ok()) return "";
  // A link must not show the user a file of another user.
  const absl::StatusOr<UniqueFd> file = OpenBeneath(environment->get(), ".riseml/note", O_RDONLY);
  struct stat info {};
  if (!file.ok() || fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) return "";
  std::string note(kMostNote, '\0');
  const ssize_t size = read(file->get(), note.data(), note.size());
  note.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return note;
}

absl::Status CopyBeneath(const std::string& from, const std::string& to, std::optional<absl::Time> modified,
                         const std::stop_token& stop) {
  if (!FileExists(from)) return absl::OkStatus();
  return While("lay the environment's files beneath the code",
               CopyTree(from, to, {.modified = modified, .stop = stop}));
}

}  // namespace riseml::agent
