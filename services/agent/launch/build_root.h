// Surroundings of builds of images: a container with the programs of the machine, in which buildah works.
//
// Such a container has a file system of its own that is empty but for what a build needs: /usr and some files of /etc,
// read-only. In its user namespace it has the capabilities with which buildah mounts layers and runs steps by chroot;
// outside of it, it has none. Layers and caches lie in the work directory of the job's owner and are kept between
// builds. buildah needs no options: its files of settings are made here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/launch/container.h"
#include "services/agent/launch/podman_settings.h"
#include "services/agent/launch/sandbox.h"

namespace riseml::agent {

// Directory of buildah's settings, below the control directory of the attempt.
inline constexpr char kBuildahSettings[] = "containers";
// Directory, in the container of a build, of the layers that builds of the same user share.
inline constexpr char kBuildLayers[] = "/var/lib/containers";

// Makes `root`, the file system of a build, anew, with links such as /bin. Podman makes the places of the mounts.
absl::Status MakeBuildRoot(const std::string& root, const SystemView& system);

// Directory for layers and caches of builds, below that of their owner; and a file in it whose time is that of the
// beginning of the last build.
std::string BuildStorageBelow(const std::string& owner);
std::string LastBuildIn(const std::string& storage);

// Makes `storage`, such a directory, unless it is there, for a build that begins now. It is not shown itself.
absl::Status MakeBuildStorage(const std::string& storage);

// Lets the last build look old, so that the cleanup removes `storage` when the disk is short.
absl::Status ForgetLastBuild(const std::string& storage);

// Directories in it that a build writes to.
std::vector<std::string> PartsOfBuildStorage(const std::string& storage);

// Writes buildah's settings below `control`, and the policy for signatures below `home`. Images come from and go to
// `ports` of the loopback address without TLS.
absl::Status WriteBuildahSettings(const std::string& control, const std::string& home, const PodmanMachine& machine,
                                  const std::vector<int>& ports);

// Adds what a build sees of the machine, its capabilities, and what is in `storage`.
void AddBuildSurroundings(const SystemView& system, const std::string& storage, ContainerRequest* request);

}  // namespace riseml::agent
