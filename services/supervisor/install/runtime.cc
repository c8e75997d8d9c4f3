#include "services/supervisor/install/runtime.h"

#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/state.h"

namespace riseml::supervisor {
namespace {

constexpr absl::string_view kRegistryProgram = "docker-registry";
// Each is the name of its package too.
constexpr absl::string_view kContainerPrograms[] = {kRegistryProgram, "podman", "buildah"};
constexpr absl::string_view kProgramDirs[] = {"/usr/local/bin", "/usr/bin"};  // as in the services' PATH

// Path of a program; empty: not installed.
std::string FindSystemProgram(absl::string_view name) {
  for (const absl::string_view dir : kProgramDirs)
    if (std::string path = absl::StrCat(dir, "/", name); access(path.c_str(), X_OK) == 0) return path;
  return "";
}

}  // namespace

absl::StatusOr<Runtime> ChooseRuntime(const std::string& dir, absl::string_view option) {
  const absl::StatusOr<config::v1::SupervisorState> state = LoadState({dir, dir});
  if (!state.ok() && !HasReason(state.status(), Reason::kNotFound)) return state.status();
  const bool before = state.ok() && state->podman();
  const bool podman = option.empty() ? before : option == kPodmanRuntime;
  return Runtime{podman, podman != before};
}

absl::StatusOr<std::string> FindContainerPrograms() {
  std::vector<absl::string_view> missing;
  for (const absl::string_view name : kContainerPrograms)
    if (FindSystemProgram(name).empty()) missing.push_back(name);
  if (missing.empty()) return FindSystemProgram(kRegistryProgram);
  return absl::FailedPreconditionError(absl::StrCat(
      "jobs cannot run in containers: not installed: ", absl::StrJoin(missing, ", "), "; run `apt-get install ",
      absl::StrJoin(missing, " "), "`, or run jobs as processes with `riseml up --runtime ", kProcessRuntime, "`"));
}

absl::Status GiveBackJobs(const Account& account, const std::string& dir) {
  return GiveWholeTrees(account, {dir + "/node", dir + "/output", dir + "/environments"});
}

}  // namespace riseml::supervisor
