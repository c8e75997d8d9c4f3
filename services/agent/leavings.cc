#include "services/agent/leavings.h"

#include "services/agent/tree_copy.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {

std::string LeftInCode(const std::string& environment_path) { return environment_path + "/.riseml/code"; }
std::string LeftInHome(const std::string& environment_path) { return environment_path + "/.riseml/home"; }
std::string NoteOfBuild(const std::string& environment_path) { return environment_path + "/.riseml/note"; }

absl::Status CopyBeneath(const std::string& from, const std::string& to, std::optional<absl::Time> modified,
                         const std::stop_token& stop) {
  if (!FileExists(from)) return absl::OkStatus();
  return While("lay the environment's files beneath the code",
               CopyTree(from, to, {.modified = modified, .stop = stop}));
}

}  // namespace riseml::agent
