#include "services/agent/disk/disk_guard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMib = 1 << 20;
constexpr std::int64_t kLeastReserve = 256 * kMib;
constexpr std::int64_t kMostReserve = 2048 * kMib;
constexpr std::int64_t kLeastWritten = 64 * kMib;  // ending an attempt with fewer bytes frees too little
constexpr std::int64_t kLeastWrittenSince = 4 * kMib;
constexpr std::int64_t kSearchStep = 16 * kMib;        // after no attempt was found, so much less starts a new search
constexpr std::int64_t kFastestWriter = 16384 * kMib;  // bytes per second: several writers on a disk in memory
constexpr absl::Duration kPause = absl::Seconds(5);    // after no attempt was found
constexpr absl::Duration kLongestEnd = absl::Minutes(1);
constexpr absl::Duration kShortestLook = absl::Milliseconds(10);
constexpr absl::Duration kLongestLook = absl::Seconds(1);
constexpr absl::Duration kLookBelow = absl::Milliseconds(50);

// Limit at which a state ends: a quarter above the one at which it begins. Otherwise the state of a disk near the limit
// would change at every look.
constexpr std::int64_t WithMargin(std::int64_t bytes) { return bytes + bytes / 4; }

std::string Of(const DiskSpace& space) {
  return absl::StrCat(DiskBytes(space.free), " free of ", DiskBytes(space.total));
}

}  // namespace

std::int64_t ReserveOf(const DiskSpace& space) {
  return std::min(std::clamp(space.total / 20, kLeastReserve, kMostReserve), space.total / 2);
}

DiskPressure DiskGuard::Look(const DiskSpace& space) {
  space_ = space;
  const std::int64_t reserve = ReserveOf(space);
  const auto below = [&](std::int64_t bytes, DiskPressure level) {
    return space.free < (pressure_ >= level ? WithMargin(bytes) : bytes);
  };
  pressure_ = below(LeastForStarts(space), DiskPressure::kNoStarts) ? DiskPressure::kNoStarts
              : below(reserve, DiskPressure::kReserve)              ? DiskPressure::kReserve
                                                                    : DiskPressure::kNone;
  if (pressure_ == DiskPressure::kNone) {
    limit_ = reserve;
    before_.clear();
    nobody_at_ = -1;
  } else if (limit_ < 0 || (!before_.empty() && !ending_ && space.free > taken_)) {
    TakeAsItIs();
  }
  return pressure_;
}

void DiskGuard::TakeAsItIs() {
  const std::int64_t reserve = ReserveOf(space_);
  const std::int64_t step = std::min(std::max(kLeastWritten, reserve / 8), space_.free / 2);
  taken_ = space_.free;
  limit_ = std::min(reserve, taken_ - step);
}

// Once little space is left, fewer bytes are enough: some attempt has written a good part of the bytes lost since the
// last end.
std::int64_t DiskGuard::LeastWritten() const {
  return before_.empty() ? kLeastWritten : std::clamp((taken_ - space_.free) / 4, kLeastWrittenSince, kLeastWritten);
}

bool DiskGuard::WantsToEnd(absl::Time now) const {
  if (ending_ || space_.free >= limit_) return false;
  return nobody_at_ < 0 || now >= chosen_ + kPause || space_.free < nobody_at_ - std::min(kSearchStep, nobody_at_ / 4);
}

std::optional<DiskUse> DiskGuard::Choose(const std::vector<DiskUse>& uses, absl::Time now) {
  std::optional<DiskUse> most;
  for (DiskUse use : uses) {
    if (const auto known = before_.find(use.id); known != before_.end()) use.bytes -= known->second;
    if (use.whole && use.bytes < LeastWritten()) continue;
    // An attempt whose files cannot all be counted is chosen first; otherwise hiding files would protect it.
    if (!most || std::pair(!use.whole, use.bytes) > std::pair(!most->whole, most->bytes)) most = use;
  }
  chosen_ = now;
  if (!most) {
    nobody_at_ = space_.free;
    return most;
  }
  nobody_at_ = -1;
  before_.clear();
  for (const DiskUse& use : uses) before_[use.id] = use.bytes;
  ending_ = most->id;
  return most;
}

bool DiskGuard::IsOverdue(absl::Time now) const { return now >= chosen_ + kLongestEnd; }

void DiskGuard::NoteEnd() {
  ending_.reset();
  TakeAsItIs();
}

absl::Duration DiskGuard::UntilNextLook() const {
  if (ending_) return kShortestLook;
  if (space_.free < limit_) return kLookBelow;
  const double seconds = static_cast<double>(space_.free - limit_) / static_cast<double>(kFastestWriter);
  return std::clamp(absl::Seconds(seconds), kShortestLook, kLongestLook);
}

std::string DiskBytes(std::int64_t bytes) {
  if (bytes < 1024 * kMib) return absl::StrCat(bytes / kMib, " MiB");
  return absl::StrFormat("%.1f GiB", static_cast<double>(bytes) / static_cast<double>(1024 * kMib));
}

std::string WhyEndedForDisk(const std::string& node, const DiskSpace& space, const DiskUse& use, bool since,
                            bool shared) {
  return absl::StrCat("ended because the disk of node ", node, " was nearly full (", Of(space), "): this job's files",
                      shared ? " and those that jobs of its user share" : "", since ? " grew by " : " took ",
                      use.whole ? "" : "more than ", DiskBytes(use.bytes),
                      ", most of all jobs; delete what is not needed (riseml rm) or write less");
}

std::string WhyNoStarts(const DiskSpace& space) {
  return absl::StrCat("its disk is nearly full: ", Of(space), ", and jobs start again with ",
                      DiskBytes(WithMargin(LeastForStarts(space))), " free; delete what is not needed (riseml rm)");
}

std::string NoteOnDisk(const std::string& directory, const DiskSpace& space) {
  return absl::StrCat("The disk of ", directory, " is nearly full: ", Of(space), ", and ", DiskBytes(ReserveOf(space)),
                      " are kept for the services; a job that goes on writing is ended");
}

}  // namespace riseml::agent
