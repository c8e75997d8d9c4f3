// Decides when a disk of a node is too full, and which attempt is then ended. Pure: computes decisions from space and
// bytes.
//
// A reserve on each disk is kept free for shared needs: the database, code, logs and the small files of other jobs.
// When less than the reserve is free, the attempt with the most bytes on the disk is ended; when less than half of it
// is free, no attempt starts. The output of an ended attempt stays, so the disk may stay as full as it was. Hence the
// next attempt is ended only when even less is free; then the one that has written most since counts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/attempt/attempt_dir.h"

namespace riseml::agent {

// Bytes of a file system.
struct DiskSpace {
  std::int64_t total = 0;
  std::int64_t free = 0;  // available to ordinary users (f_bavail)
};

// Bytes that are kept free: 5 % of the disk, between 256 MiB and 2 GiB, but never more than half of the disk.
std::int64_t ReserveOf(const DiskSpace& space);

// Free bytes below which no attempt starts.
inline std::int64_t LeastForStarts(const DiskSpace& space) { return ReserveOf(space) / 2; }

// Bytes that an attempt has on a disk.
struct DiskUse {
  AttemptId id;
  std::int64_t bytes = 0;
  bool whole = true;  // false: it has too many files, or files that cannot be counted
};

enum class DiskPressure {
  kNone,
  kReserve,   // less than the reserve is free
  kNoStarts,  // less than half of the reserve is free
};

// Thread-compatible; one for each disk.
class DiskGuard {
 public:
  // If the disk is too full at the first look, its current level becomes the baseline: an attempt may have been ended
  // for it already.
  DiskPressure Look(const DiskSpace& space);

  // True when uses must be measured to choose an attempt to end.
  bool WantsToEnd(absl::Time now) const;
  // Returns the attempt to end, with its bytes; ending() is this attempt until NoteEnd. nullopt if no attempt has
  // written enough.
  std::optional<DiskUse> Choose(const std::vector<DiskUse>& uses, absl::Time now);
  // The chosen attempt has ended.
  void NoteEnd();
  const std::optional<AttemptId>& ending() const { return ending_; }
  // True when that end is overdue: the attempt may be stuck, and others must be considered.
  bool IsOverdue(absl::Time now) const;
  // True when an attempt has been ended since the disk became too full. Choose then returns the bytes written since
  // that end.
  bool has_ended_one() const { return !before_.empty(); }

  // Time in which writers at 16 GiB per second could reach the next limit, between 10 ms and 1 s.
  absl::Duration UntilNextLook() const;

 private:
  // Makes the bytes that are free now the baseline: an attempt is ended when clearly less is free.
  void TakeAsItIs();
  std::int64_t LeastWritten() const;

  DiskSpace space_;
  DiskPressure pressure_ = DiskPressure::kNone;
  std::int64_t limit_ = -1;  // with less free, an attempt is ended; negative before the first look
  std::int64_t taken_ = 0;   // free bytes of the baseline
  std::optional<AttemptId> ending_;
  absl::Time chosen_ = absl::InfinitePast();
  std::int64_t nobody_at_ = -1;               // free bytes when no attempt to end was found; negative: not tried
  std::map<AttemptId, std::int64_t> before_;  // bytes when the last attempt was ended
};

// "1.9 GiB", "120 MiB".
std::string DiskBytes(std::int64_t bytes);

// Message for the user whose attempt is ended. `since`: see DiskGuard::has_ended_one. `shared`: `use` includes
// directories that the user's jobs share.
std::string WhyEndedForDisk(const std::string& node, const DiskSpace& space, const DiskUse& use, bool since,
                            bool shared);
// Reason why no attempt starts; the text follows the name of a node.
std::string WhyNoStarts(const DiskSpace& space);
// Note for all users who look at the node.
std::string NoteOnDisk(const std::string& directory, const DiskSpace& space);

}  // namespace riseml::agent
