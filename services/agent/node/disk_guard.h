// Decides when a disk of a node is too full, and which attempt is ended for it. Pure: space and bytes in, decisions
// out.
//
// A part of each disk is kept free for what all share: the database, code, logs and the little that other jobs write.
// When less than this reserve is free, the attempt that has most on the disk is ended; when less than half of it is
// free, no attempt starts. What an attempt has written to its output stays when it has ended, and the disk may stay as
// full as it was. Hence the next one is ended only when still less is free, and then for what it has written since.
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
  std::int64_t free = 0;  // for those who have no share of their own
};

// Bytes that are kept free: 5 %, between 256 MiB and 2 GiB, and never more than half of all.
std::int64_t ReserveOf(const DiskSpace& space);

// With less than this no attempt starts.
inline std::int64_t LeastForStarts(const DiskSpace& space) { return ReserveOf(space) / 2; }

// Bytes that an attempt has on a disk.
struct DiskUse {
  AttemptId id;
  std::int64_t bytes = 0;
  bool whole = true;  // false: it has more files than are counted, or some that cannot be
};

enum class DiskPressure {
  kNone,
  kReserve,   // less than the reserve is free
  kNoStarts,  // less than half of it is
};

// Thread-compatible; one for each disk.
class DiskGuard {
 public:
  // A disk that is too full at the first look is taken as it is: somebody may have been ended for it already.
  DiskPressure Look(const DiskSpace& space);

  // True when uses are to be measured, to choose whom to end.
  bool WantsToEnd(absl::Time now) const;
  // The attempt to end, with its bytes; nothing when no attempt has written enough. Its end is then awaited.
  std::optional<DiskUse> Choose(const std::vector<DiskUse>& uses, absl::Time now);
  // The chosen attempt has ended.
  void NoteEnd();
  const std::optional<AttemptId>& ending() const { return ending_; }
  // True when its end has been awaited for so long that it may be stuck, and others must be looked at.
  bool IsOverdue(absl::Time now) const;
  // True when an attempt has been ended since the disk was too full: bytes of Choose are what was written since then.
  bool has_ended_one() const { return !before_.empty(); }

  // Time until writers of 16 GiB a second could have got so far that something is to be done, within 10 ms to 1 s.
  absl::Duration UntilNextLook() const;

 private:
  // Lets what is free now count as it is: less by some way, an attempt is ended.
  void TakeAsItIs();
  std::int64_t LeastWritten() const;

  DiskSpace space_;
  DiskPressure pressure_ = DiskPressure::kNone;
  std::int64_t limit_ = -1;  // with less free, an attempt is ended; negative before the first look
  std::int64_t taken_ = 0;   // free bytes that were last taken as they are
  std::optional<AttemptId> ending_;
  absl::Time chosen_ = absl::InfinitePast();
  std::int64_t nobody_at_ = -1;               // free bytes when nobody was found to be ended; negative: not tried
  std::map<AttemptId, std::int64_t> before_;  // bytes when the last one was ended
};

// "1.9 GiB", "120 MiB".
std::string DiskBytes(std::int64_t bytes);

// For the user whose attempt is ended. `since`: see DiskGuard::has_ended_one; `shared`: directories that the user's
// jobs share are part of it.
std::string WhyEndedForDisk(const std::string& node, const DiskSpace& space, const DiskUse& use, bool since,
                            bool shared);
// Why no attempt starts, in words that follow the name of a node.
std::string WhyNoStarts(const DiskSpace& space);
// For all who look at the node.
std::string NoteOnDisk(const std::string& directory, const DiskSpace& space);

}  // namespace riseml::agent
