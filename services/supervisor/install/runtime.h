// Runtime of the jobs of an installation: processes, or containers of Podman.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/supervisor/install/account.h"

namespace riseml::supervisor {

// Values of --runtime.
inline constexpr char kPodmanRuntime[] = "podman";
inline constexpr char kProcessRuntime[] = "process";

// Sentence for users of an installation whose jobs run in containers.
inline constexpr char kRunsContainers[] = "Jobs run in containers (Podman).";

struct Runtime {
  bool podman = false;   // jobs run in containers
  bool changed = false;  // since the last start
};

// Returns the runtime that `option`, a value of --runtime, asks for; empty: that of the last start, at first processes.
absl::StatusOr<Runtime> ChooseRuntime(const std::string& dir, absl::string_view option);

// Path of docker-registry. FAILED_PRECONDITION names the packages that are missing to run jobs in containers.
absl::StatusOr<std::string> FindContainerPrograms();

// Makes the account the owner of what jobs in containers and a node with root's rights have left for jobs that run as
// processes. What only containers need stays root's.
absl::Status GiveBackJobs(const Account& account, const std::string& dir);

}  // namespace riseml::supervisor
