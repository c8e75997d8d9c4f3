#include "services/agent/disk/image_cleanup.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/disk/disk_use.h"
#include "services/agent/launch/build_root.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/log.h"
#include "services/common/base/threads/pause.h"

namespace riseml::agent {
namespace {

constexpr absl::Duration kLookAtDisk = absl::Minutes(1);
constexpr absl::Duration kLookAtAges = absl::Hours(1);
constexpr char kGone[] = ".gone";  // added to the name of layers that are being removed

bool IsDiskShort(const std::string& directory) {
  const absl::StatusOr<DiskSpace> space = SpaceAt(directory);
  return space.ok() && IsShort(*space);
}

absl::Duration AllowedAge(bool is_short) { return is_short ? kUnusedForOnShortDisk : kUnusedFor; }

}  // namespace

std::vector<std::string> ImagesToRemove(std::vector<HeldImage> images, bool is_short, absl::Time now) {
  std::erase_if(images, [&](const HeldImage& image) { return now - image.last_used < AllowedAge(is_short); });
  std::ranges::stable_sort(images, {}, &HeldImage::last_used);
  std::vector<std::string> references;
  references.reserve(images.size());
  for (HeldImage& image : images) references.push_back(std::move(image.reference));
  return references;
}

ImageCleanup::ImageCleanup(Parts parts) : parts_(std::move(parts)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void ImageCleanup::Run(const std::stop_token& stop) const {
  absl::Time next = parts_.clock.Now();
  while (Pause(stop, kLookAtDisk)) {
    if (!IsAnyDiskShort() && parts_.clock.Now() < next) continue;
    CleanUp(stop);
    next = parts_.clock.Now() + kLookAtAges;
  }
}

bool ImageCleanup::IsAnyDiskShort() const {
  return IsDiskShort(parts_.podman.storage_dir()) ||
         (!parts_.environments_dir.empty() && IsDiskShort(parts_.environments_dir));
}

void ImageCleanup::CleanUp(const std::stop_token& stop) const {
  RemoveLayersOfBuilds(stop);  // a build makes them again; an image is downloaded again
  RemoveImages(stop);
}

void ImageCleanup::RemoveImages(const std::stop_token& stop) const {
  const std::string& storage = parts_.podman.storage_dir();
  const bool is_short = IsDiskShort(storage);
  const absl::Time now = parts_.clock.Now();
  const absl::StatusOr<std::vector<HeldImage>> images = parts_.podman.ListImages(now, stop);
  if (!images.ok()) return LogWarning("images_not_listed", {{"error", std::string(images.status().message())}});
  for (const std::string& reference : ImagesToRemove(*images, is_short, now)) {
    if (stop.stop_requested() || (is_short && !IsDiskShort(storage))) return;
    const absl::Status removed = parts_.podman.RemoveImage(reference, stop);
    if (removed.ok())
      LogInfo("image_removed", {{"image", reference}, {"reason", is_short ? "the disk is short" : "unused"}});
    else if (!absl::IsFailedPrecondition(removed))  // a container has it
      LogWarning("image_not_removed", {{"image", reference}, {"error", std::string(removed.message())}});
  }
}

// The layers that an owner's builds keep go as a whole, and never while anything is built.
void ImageCleanup::RemoveLayersOfBuilds(const std::stop_token& stop) const {
  if (parts_.environments_dir.empty()) return;
  const absl::Duration age = IsDiskShort(parts_.environments_dir) ? kLayersUnusedForOnShortDisk : kUnusedFor;
  std::error_code error;
  for (const auto& owner : std::filesystem::directory_iterator(parts_.environments_dir, error)) {
    const std::string storage = BuildStorageBelow(owner.path().string()), gone = storage + kGone;
    struct stat last_build {};
    if (stat(LastBuildIn(storage).c_str(), &last_build) != 0 && !FileExists(gone)) continue;
    const bool unneeded = parts_.clock.Now() - absl::TimeFromTimespec(last_build.st_mtim) >= age ||
                          DiskBytesBelow(storage) > parts_.most_layer_bytes;
    if (unneeded && !IsBuilding() && !FileExists(gone)) rename(storage.c_str(), gone.c_str());
    if (!FileExists(gone)) continue;
    const absl::Status removed = parts_.podman.RemoveTreeOfContainers(gone, stop);
    if (removed.ok())
      LogInfo("build_layers_removed", {{"path", storage}});
    else
      LogWarning("build_layers_not_removed", {{"path", gone}, {"error", std::string(removed.message())}});
  }
}

bool ImageCleanup::IsBuilding() const {
  return std::ranges::any_of(parts_.podman.ListBuildRoots(),
                             [](const std::string& name) { return ParseAttemptId(name).has_value(); });
}

}  // namespace riseml::agent
