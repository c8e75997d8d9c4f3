// Decides what `ship` sends next. Pure: computes actions from offsets and times; knows neither files nor connections.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace riseml::agent {

inline constexpr std::int64_t kBlockBytes = 64 << 10;
inline constexpr std::int64_t kWindowBytes = 4 << 20;                     // sent and not acknowledged, at most
inline constexpr absl::Duration kLinger = absl::Milliseconds(2);          // new bytes wait at least this long for more
inline constexpr absl::Duration kBlockInterval = absl::Milliseconds(20);  // small blocks are at least this far apart
inline constexpr absl::Duration kTimeGrain = absl::Milliseconds(50);

// Times at which bytes were noticed: marks (offset, time), at least 50 ms apart. Beyond 4,096 marks, old and dense
// ones are thinned out.
class TimeMarks {
 public:
  void Add(std::int64_t offset, absl::Time time);
  // Drops marks that are needed only for bytes before `offset`.
  void Forget(std::int64_t offset);
  // Marks of [first, first + length) as in LogBlock.times: (offset - first, milliseconds since 1970); the first is for
  // offset 0.
  std::vector<std::int64_t> For(std::int64_t first, std::int64_t length) const;
  // Time at which the byte at `offset` was noticed; absent: none is known.
  std::optional<absl::Time> TimeOf(std::int64_t offset) const;

 private:
  struct Mark {
    std::int64_t offset;
    absl::Time time;
  };
  std::deque<Mark> marks_;
};

struct SendBlock {
  std::int64_t first = 0, length = 0;
};
struct SendGap {
  std::int64_t first = 0, length = 0;
};
struct SendEnd {
  std::int64_t final_offset = 0;
};
struct WaitUntil {
  absl::Time time = absl::InfiniteFuture();  // unless something changes before
};
using ShipAction = std::variant<SendBlock, SendGap, SendEnd, WaitUntil>;

// Position of `ship` in one log. Offsets are exact: each byte is sent as it is, is part of exactly one gap, or is still
// to be sent.
class ShipCursor {
 public:
  // `acknowledged` and `dropped` have the stored values; bytes before them may be missing in the file.
  ShipCursor(std::int64_t acknowledged, std::int64_t dropped, std::int64_t unshipped_limit);

  // Sets the current length of the log file.
  void SetSize(std::int64_t size, absl::Time now);
  // Sets the final length of the log when the attempt has ended. No end is sent before.
  void SetEnd(std::int64_t final_offset);
  // Begins a call: the server expects the bytes from `expected` on.
  void Begin(std::int64_t expected);
  // Notes that the server has stored everything before `offset`.
  void Acknowledge(std::int64_t offset);
  // Ends the call. Bytes that were not acknowledged are sent again in the next call.
  void Disconnect() {
    sent_.reset();
    sent_gaps_.clear();
  }

  // Notes that bytes before `offset` are not in the file any more. If the server asks for them again, they become a
  // gap.
  void SetFreed(std::int64_t offset) { freed_ = offset; }

  // Returns the next action. The caller executes it and reports it with Sent.
  ShipAction Next(absl::Time now) const;
  void Sent(const ShipAction& action, absl::Time now);

  // The known end of the log: no action goes beyond this offset.
  std::int64_t known_end() const { return end_ ? std::min(*end_, size_) : size_; }
  std::int64_t acknowledged() const { return acknowledged_; }
  std::int64_t dropped() const { return dropped_; }
  std::int64_t in_flight() const { return sent_ ? *sent_ - acknowledged_ : 0; }
  // Bytes of gaps that are not acknowledged yet.
  std::int64_t lost_bytes() const;
  // Bytes that are not acknowledged and not lost.
  std::int64_t waiting_bytes() const { return std::max<std::int64_t>(0, known_end() - acknowledged_ - lost_bytes()); }
  bool end_sent() const { return end_sent_; }
  bool has_unsent() const { return !sent_ || *sent_ < size_; }
  const TimeMarks& marks() const { return marks_; }

 private:
  void DropOldest();

  const std::int64_t limit_;
  std::int64_t acknowledged_;
  std::int64_t dropped_;  // bytes before it and not acknowledged are lost
  std::int64_t freed_ = 0;
  std::int64_t size_ = 0;
  std::optional<std::int64_t> end_;
  std::optional<std::int64_t> sent_;  // absent: no call
  std::deque<SendGap> sent_gaps_;     // in this call, not acknowledged
  bool end_sent_ = false;
  absl::Time pending_since_ = absl::InfiniteFuture();  // when the first unsent byte was noticed
  absl::Time last_sent_ = absl::InfinitePast();
  TimeMarks marks_;
};

}  // namespace riseml::agent
