// Decides what `ship` sends next. Pure: offsets and times in, actions out; knows neither files nor connections.
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
inline constexpr absl::Duration kLinger = absl::Milliseconds(2);          // bytes wait for company at least this long
inline constexpr absl::Duration kBlockInterval = absl::Milliseconds(20);  // small blocks are at least this far apart
inline constexpr absl::Duration kTimeGrain = absl::Milliseconds(50);

// Times at which bytes were noticed: marks (offset, time), at least 50 ms apart. Beyond 4,096 marks, old and dense
// ones are thinned out.
class TimeMarks {
 public:
  void Add(std::int64_t offset, absl::Time time);
  // Marks needed only for bytes before `offset` are dropped.
  void Forget(std::int64_t offset);
  // Marks of [first, first + length) as in LogBlock.times: (offset - first, milliseconds since 1970); the first is for
  // offset 0.
  std::vector<std::int64_t> For(std::int64_t first, std::int64_t length) const;

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

// Walks along one log. Offsets never lie: a byte is sent as it is, or is part of exactly one gap, or is on its way.
class ShipCursor {
 public:
  // `acknowledged` and `dropped` as they were stored; bytes before them may not be in the file any more.
  ShipCursor(std::int64_t acknowledged, std::int64_t dropped, std::int64_t unshipped_limit);

  // The log file has this length now.
  void SetSize(std::int64_t size, absl::Time now);
  // The attempt has ended, and so has its log. Before this no end is sent.
  void SetEnd(std::int64_t final_offset);
  // A call has begun: the server wants to go on at `expected`.
  void Begin(std::int64_t expected);
  // Everything before `offset` is stored.
  void Acknowledge(std::int64_t offset);
  // The call is over; whatever was not acknowledged is sent again by the next one.
  void Disconnect() { sent_.reset(); }

  // Bytes before `offset` are not in the file any more: should the server ask for them again, they are a gap.
  void SetFreed(std::int64_t offset) { freed_ = offset; }

  // Returns the next action. The caller does it and reports it with Sent.
  ShipAction Next(absl::Time now) const;
  void Sent(const ShipAction& action, absl::Time now);

  // The log as it is known: no action reaches beyond this offset.
  std::int64_t known_end() const { return end_ ? std::min(*end_, size_) : size_; }
  std::int64_t acknowledged() const { return acknowledged_; }
  std::int64_t dropped() const { return dropped_; }
  std::int64_t in_flight() const { return sent_ ? *sent_ - acknowledged_ : 0; }
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
  bool end_sent_ = false;
  absl::Time pending_since_ = absl::InfiniteFuture();  // when the first unsent byte was noticed
  absl::Time last_sent_ = absl::InfinitePast();
  TimeMarks marks_;
};

}  // namespace riseml::agent
