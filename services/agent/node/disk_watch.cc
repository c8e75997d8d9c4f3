#include "services/agent/node/disk_watch.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/agent/attempt/attempt_end.h"
#include "services/agent/disk/disk_use.h"
#include "services/agent/launch/build_root.h"
#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/pause.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptStatus;
using internal::v1::StartAttemptRequest;

}  // namespace

DiskWatch::DiskWatch(const v1::Node& node, const std::vector<std::string>& directories, Parts parts)
    : node_(node), name_(absl::StripPrefix(node.name(), "nodes/")), parts_(std::move(parts)) {
  for (const std::string& directory : directories) {
    const absl::StatusOr<dev_t> device = DeviceOf(directory);
    if (!device.ok()) {
      LogWarning("disk_not_watched", {{"directory", directory}, {"error", std::string(device.status().message())}});
      continue;
    }
    if (std::ranges::any_of(disks_, [&](const Disk& disk) { return disk.device == *device; })) continue;
    disks_.push_back({directory, *device, &parts_.metrics.disk_free.Add({{"directory", directory}}), DiskGuard()});
  }
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void DiskWatch::Run(std::stop_token stop) {
  absl::Duration pause;
  do {
    pause = absl::Seconds(1);
    for (Disk& disk : disks_) {
      Look(disk);
      pause = std::min(pause, disk.guard.UntilNextLook());
    }
  } while (Pause(stop, pause));
}

void DiskWatch::Look(Disk& disk) {
  const absl::StatusOr<DiskSpace> space = SpaceAt(disk.directory);
  if (!space.ok()) return;  // the directory may come back
  disk.space = *space;
  disk.free->Set(static_cast<double>(space->free));
  NotePressure(disk, disk.guard.Look(*space));
  if (disk.guard.ending()) AwaitEnd(disk);
  if (disk.guard.WantsToEnd(parts_.clock.Now())) EndOne(disk);
}

void DiskWatch::NotePressure(Disk& disk, DiskPressure pressure) {
  const DiskPressure before = std::exchange(disk.pressure, pressure);
  if (before == pressure) return;
  if (before == DiskPressure::kNone)
    LogWarning(
        "disk_nearly_full",
        {{"directory", disk.directory}, {"free_bytes", disk.space.free}, {"reserve_bytes", ReserveOf(disk.space)}});
  if (pressure == DiskPressure::kNone)
    LogWarning("disk_has_room_again", {{"directory", disk.directory}, {"free_bytes", disk.space.free}});
  Tell();
}

void DiskWatch::Tell() const {
  v1::Node node = node_;
  for (const Disk& disk : disks_) {
    if (disk.pressure == DiskPressure::kNone) continue;
    node.add_notes(NoteOnDisk(disk.directory, disk.space));
    if (disk.pressure != DiskPressure::kNoStarts) continue;
    node.set_ready(false);
    node.set_message(WhyNoStarts(disk.space));
  }
  parts_.tell(node);
}

void DiskWatch::AwaitEnd(Disk& disk) const {
  const std::optional<AttemptStatus> status = parts_.table.Find(*disk.guard.ending());
  const absl::Time now = parts_.clock.Now();
  if (!status || status->phase() == AttemptStatus::ENDED || disk.guard.IsOverdue(now)) disk.guard.NoteEnd();
}

// Directories that jobs of a user share belong to no single attempt. They count only if no attempt has enough bytes of
// its own.
void DiskWatch::EndOne(Disk& disk) const {
  const bool since = disk.guard.has_ended_one();
  for (const bool shared : {false, true}) {
    const std::optional<DiskUse> most = disk.guard.Choose(Uses(disk, shared), parts_.clock.Now());
    if (!most) continue;
    return End(disk, *most, since, shared);
  }
}

void DiskWatch::End(const Disk& disk, const DiskUse& use, bool since, bool shared) const {
  const std::string why = WhyEndedForDisk(name_, disk.space, use, since, shared);
  LogWarning("attempt_ended_for_disk", {{"attempt", Print(use.id)}, {"message", why}});
  if (const absl::Status ended = parts_.reconciler.EndAttempt(use.id, EndedForDisk(why)); !ended.ok())
    LogError("attempt_not_ended", {{"attempt", Print(use.id)}, {"error", std::string(ended.message())}});
  // The layers of a build outlive it, unfinished ones too.
  const auto start = ReadMessage<StartAttemptRequest>(parts_.reconciler.DirOf(use.id).start());
  if (!start.ok() || !start->builds_image()) return;
  if (const absl::Status old = ForgetLastBuild(parts_.launcher.BuildStorageOf(start->template_())); !old.ok())
    LogWarning("build_layers_not_removed", {{"attempt", Print(use.id)}, {"error", std::string(old.message())}});
}

std::vector<DiskUse> DiskWatch::Uses(const Disk& disk, bool shared) const {
  std::vector<DiskUse> uses;
  for (const AttemptStatus& status : parts_.table.List()) {
    if (status.phase() == AttemptStatus::ENDED) continue;
    const AttemptId id{status.job_uid(), status.attempt()};
    const AttemptDir dir = parts_.reconciler.DirOf(id);
    const auto start = ReadMessage<StartAttemptRequest>(dir.start());
    if (!start.ok()) continue;
    const Launcher::Places places = parts_.launcher.PlacesOf(dir, *start);
    DiskUseCounter counter(disk.device);
    counter.AddAttempt(dir, places.own);
    if (shared)
      for (const std::string& place : places.shared) counter.AddTree(place);
    uses.push_back({id, counter.bytes(), counter.whole()});
  }
  return uses;
}

}  // namespace riseml::agent
