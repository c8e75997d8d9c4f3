#include "services/agent/node/build_watch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/attempt/attempt_end.h"
#include "services/agent/disk/disk_guard.h"
#include "services/agent/disk/disk_use.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/threads/pause.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptStatus;
using internal::v1::StartAttemptRequest;

constexpr absl::Duration kBuildTimeLimit = absl::Hours(6), kMostBuildTime = absl::Hours(24);
constexpr std::int64_t kBuildBytesLimit = 100'000'000'000;
constexpr absl::Duration kLookPeriod = absl::Seconds(1), kCountPeriod = absl::Seconds(5);
constexpr int kShareOfCounting = 20;  // a count is followed by a pause of so many times its duration
constexpr char kAskAdministrator[] = "ask your administrator for more";

// Counts with a counter for the disk that a directory lies on.
template <class Add>
std::int64_t BytesAt(const std::string& directory, Add add) {
  const absl::StatusOr<dev_t> device = DeviceOf(directory);
  if (!device.ok()) return 0;  // not made yet
  DiskUseCounter counter(*device);
  add(counter);
  return counter.bytes();
}

}  // namespace

absl::StatusOr<BuildLimits> BuildLimitsOf(const config::v1::NodeConfig& config) {
  BuildLimits limits{.time = kBuildTimeLimit, .bytes = kBuildBytesLimit};
  if (config.has_build_time_limit()) limits.time = FromProtoDuration(config.build_time_limit());
  if (config.build_bytes_limit() != 0) limits.bytes = config.build_bytes_limit();
  if (limits.time < absl::Seconds(1) || limits.time > kMostBuildTime)
    return Error(Reason::kInvalidArgument, "configuration: build_time_limit must be between 1s and 86400s");
  return limits;
}

std::optional<internal::v1::AttemptEnded> EndOfBuild(const BuildUse& use, const BuildLimits& limits,
                                                     const std::string& node) {
  if (use.time >= limits.time)
    return EndedForItsUse("BUILD_TIME_LIMIT",
                          absl::StrCat("the build was ended after ", absl::FormatDuration(limits.time),
                                       ", the longest time that a build may take on node ", node,
                                       "; shorten its steps, or ", kAskAdministrator));
  if (limits.bytes >= 0 && use.bytes > limits.bytes)
    return EndedForItsUse(
        "BUILD_DISK_LIMIT",
        absl::StrCat("the build was ended with ", DiskBytes(use.bytes), " on the disk of node ", node,
                     ", where a build may have ", DiskBytes(limits.bytes), "; install less, or ", kAskAdministrator));
  return std::nullopt;
}

BuildWatch::BuildWatch(const BuildLimits& limits, Parts parts) : limits_(limits), parts_(std::move(parts)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void BuildWatch::Run(const std::stop_token& stop) {
  while (Pause(stop, kLookPeriod)) {
    FindBuilds();
    const absl::Time begin = parts_.clock.Now();
    const bool count = limits_.bytes >= 0 && begin >= next_count_;
    for (auto& [id, build] : builds_) {
      if (count) Count(id, build);
      EndIfOver(id, build);
    }
    if (count) next_count_ = begin + std::max(kCountPeriod, (parts_.clock.Now() - begin) * kShareOfCounting);
  }
}

void BuildWatch::FindBuilds() {
  std::set<AttemptId> live;
  for (const AttemptStatus& status : parts_.table.List()) {
    if (status.phase() != AttemptStatus::RUNNING) continue;
    const AttemptId id{status.job_uid(), status.attempt()};
    live.insert(id);
    if (builds_.contains(id)) continue;
    auto start = ReadMessage<StartAttemptRequest>(parts_.reconciler.DirOf(id).start());
    if (!start.ok() || start->role() != "build") continue;
    Build& build = builds_[id];
    build.start = *std::move(start);
    if (limits_.bytes >= 0) build.shared_before = SharedBytes(id, build);
  }
  std::erase_if(builds_, [&](const auto& entry) { return !live.contains(entry.first); });
}

std::int64_t BuildWatch::OwnBytes(const AttemptId& id, const Build& build) const {
  const AttemptDir dir = parts_.reconciler.DirOf(id);
  const Launcher::Places places = parts_.launcher.PlacesOf(dir, build.start);
  return BytesAt(dir.path(), [&](DiskUseCounter& counter) { counter.AddAttempt(dir, places.own); });
}

std::int64_t BuildWatch::SharedBytes(const AttemptId& id, const Build& build) const {
  std::int64_t bytes = 0;
  for (const std::string& place : parts_.launcher.PlacesOf(parts_.reconciler.DirOf(id), build.start).shared)
    bytes += BytesAt(place, [&](DiskUseCounter& counter) { counter.AddTree(place); });
  return bytes;
}

void BuildWatch::Count(const AttemptId& id, Build& build) const {
  build.bytes = OwnBytes(id, build) + std::max<std::int64_t>(SharedBytes(id, build) - build.shared_before, 0);
}

void BuildWatch::EndIfOver(const AttemptId& id, Build& build) const {
  const std::optional<AttemptStatus> status = parts_.table.Find(id);
  if (build.ended || !status || !status->has_start_time()) return;
  const BuildUse use{parts_.clock.Now() - FromProtoTime(status->start_time()), build.bytes};
  const std::optional<internal::v1::AttemptEnded> end = EndOfBuild(use, limits_, parts_.node);
  if (!end) return;
  LogWarning("build_ended", {{"attempt", Print(id)}, {"reason", end->reason()}, {"message", end->message()}});
  const absl::Status ended = parts_.reconciler.EndAttempt(id, *end);
  build.ended = ended.ok();
  if (!ended.ok()) LogError("attempt_not_ended", {{"attempt", Print(id)}, {"error", std::string(ended.message())}});
}

}  // namespace riseml::agent
