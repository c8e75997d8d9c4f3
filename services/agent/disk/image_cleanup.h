// Removes images, and layers of builds, that no job of this node has needed for a while.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/disk/disk_guard.h"
#include "services/agent/launch/podman.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Age since the last use at which images and layers are removed: usually, and on a short disk. There the layers of
// builds go early, since a build may have filled the disk.
inline constexpr absl::Duration kUnusedFor = absl::Hours(7 * 24);
inline constexpr absl::Duration kUnusedForOnShortDisk = absl::Hours(1);
inline constexpr absl::Duration kLayersUnusedForOnShortDisk = absl::Minutes(1);

// Bytes of layers and caches at which those of a user are removed, all at once: what is in use cannot be told apart.
inline constexpr std::int64_t kMostLayerBytes = 50'000'000'000;

// True if less than twice the reserve is free: images go before attempts are ended for the disk.
inline bool IsShort(const DiskSpace& space) { return space.free < 2 * ReserveOf(space); }

// References of the images to remove, the least recently used first. Pure.
std::vector<std::string> ImagesToRemove(std::vector<HeldImage> images, bool is_short, absl::Time now);

// Looks once a minute whether the disk is short, and once an hour at the ages of images and the sizes of layers. Has
// its own thread.
class ImageCleanup {
 public:
  struct Parts {
    const Podman& podman;
    const Clock& clock;
    std::string environments_dir;  // with the directories of users; empty: this node builds nothing
    std::int64_t most_layer_bytes = kMostLayerBytes;
  };

  // References of `parts` must outlive this.
  explicit ImageCleanup(Parts parts);

  // Removes what is too old by now; on a short disk, until it is not short any more.
  void CleanUp(const std::stop_token& stop) const;

 private:
  void Run(const std::stop_token& stop) const;
  bool IsAnyDiskShort() const;
  bool IsBuilding() const;
  void RemoveImages(const std::stop_token& stop) const;
  void RemoveLayersOfBuilds(const std::stop_token& stop) const;

  const Parts parts_;
  std::jthread thread_;
};

}  // namespace riseml::agent
