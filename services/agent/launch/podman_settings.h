// Settings with which Podman works on this machine, as texts of its configuration files. Pure, except for
// LookAtMachineForPodman.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::agent {

// Properties of the machine, and of the account of the node, that decide how containers can be run.
struct PodmanMachine {
  bool root = false;
  bool unified_cgroups = false;  // cgroups v2 alone
  bool systemd = false;          // it manages the machine, and so the cgroups
  bool has_runc = false;
  // Limits of a container's processes, -1 for none. They are not higher than those of this process.
  std::int64_t open_files = -1, most_open_files = -1, processes = -1;
};

PodmanMachine LookAtMachineForPodman();

// Directory of what Podman keeps of running containers: below the storage, or elsewhere if that path is too long for
// the sockets in it.
std::string RunDirectoryOf(const std::string& storage_dir, bool root);

// Text of containers.conf. `temporary` is the directory of Podman's own state, which must be empty after a restart of
// the machine.
//
// Locks are files there: those in shared memory would belong to every Podman of the account, and one with another
// storage gives them away at its first start. crun does not work with the v1 controllers of hybrid cgroups, runc does.
std::string ContainersConf(const PodmanMachine& machine, absl::string_view temporary);

// Text of containers.conf for buildah inside of a container.
std::string BuildahConf(const PodmanMachine& machine);

// Text of the file of credentials for the registry of an image, in Docker's format; without a username, it has none.
// The result is a secret. INVALID_ARGUMENT if `reference` does not begin with a registry.
absl::StatusOr<std::string> AuthFile(absl::string_view reference, absl::string_view username,
                                     absl::string_view password);

}  // namespace riseml::agent
