#include "services/agent/ship/ship_cursor.h"

#include <algorithm>
#include <iterator>

namespace riseml::agent {
namespace {
constexpr std::size_t kMaxMarks = 4096;
}  // namespace

void TimeMarks::Add(std::int64_t offset, absl::Time time) {
  if (!marks_.empty() && time - marks_.back().time < kTimeGrain) return;
  if (!marks_.empty() && marks_.back().offset == offset) {
    marks_.back().time = time;
    return;
  }
  marks_.push_back({offset, time});
  if (marks_.size() <= kMaxMarks) return;
  std::deque<Mark> every_second;
  for (std::size_t i = 0; i < marks_.size(); i += 2) every_second.push_back(marks_[i]);
  marks_ = std::move(every_second);
}

void TimeMarks::Forget(std::int64_t offset) {
  while (marks_.size() > 1 && marks_[1].offset <= offset) marks_.pop_front();
}

std::vector<std::int64_t> TimeMarks::For(std::int64_t first, std::int64_t length) const {
  std::vector<std::int64_t> times;
  auto it = std::ranges::upper_bound(marks_, first, {}, &Mark::offset);
  if (it != marks_.begin()) --it;
  for (; it != marks_.end() && (times.empty() || it->offset < first + length); ++it) {
    times.push_back(std::max<std::int64_t>(0, it->offset - first));
    times.push_back(absl::ToUnixMillis(it->time));
  }
  return times;
}

std::optional<absl::Time> TimeMarks::TimeOf(std::int64_t offset) const {
  if (marks_.empty()) return std::nullopt;
  const auto after = std::ranges::upper_bound(marks_, offset, {}, &Mark::offset);
  return after == marks_.begin() ? after->time : std::prev(after)->time;
}

ShipCursor::ShipCursor(std::int64_t acknowledged, std::int64_t dropped, std::int64_t unshipped_limit)
    : limit_(std::max<std::int64_t>(unshipped_limit, kBlockBytes)),
      acknowledged_(acknowledged),
      dropped_(std::max(acknowledged, dropped)),
      size_(acknowledged) {}

void ShipCursor::SetSize(std::int64_t size, absl::Time now) {
  if (size <= size_) return;
  marks_.Add(size_, now);
  size_ = size;
  pending_since_ = std::min(pending_since_, now);
  DropOldest();
}

void ShipCursor::SetEnd(std::int64_t final_offset) { end_ = final_offset; }

std::int64_t ShipCursor::lost_bytes() const {
  std::int64_t lost = std::max<std::int64_t>(0, dropped_ - std::max(acknowledged_, sent_.value_or(acknowledged_)));
  for (const SendGap& gap : sent_gaps_) lost += gap.first + gap.length - std::max(gap.first, acknowledged_);
  return lost;
}

void ShipCursor::DropOldest() {
  if (size_ - std::max(acknowledged_, dropped_) <= limit_) return;
  // Drops more than needed, so that a job that keeps printing does not cause a gap for every line.
  dropped_ = std::max(dropped_, size_ - limit_ + limit_ / 16);
}

void ShipCursor::Begin(std::int64_t expected) {
  sent_ = expected;
  sent_gaps_.clear();
  acknowledged_ = expected;
  end_sent_ = false;
  if (size_ > expected && pending_since_ == absl::InfiniteFuture()) pending_since_ = absl::InfinitePast();
}

void ShipCursor::Acknowledge(std::int64_t offset) {
  if (!sent_ || offset <= acknowledged_) return;
  acknowledged_ = offset;
  // `offset` may be beyond the bytes of this call: those of the previous call may have become durable meanwhile.
  sent_ = std::max(*sent_, offset);
  while (!sent_gaps_.empty() && sent_gaps_.front().first + sent_gaps_.front().length <= offset) sent_gaps_.pop_front();
  marks_.Forget(acknowledged_);
}

ShipAction ShipCursor::Next(absl::Time now) const {
  if (!sent_) return WaitUntil{};
  const std::int64_t oldest = std::max(dropped_, freed_);
  if (*sent_ < oldest) return SendGap{*sent_, oldest - *sent_};
  const std::int64_t available = known_end() - *sent_;
  if (available > 0) {
    if (*sent_ - acknowledged_ >= kWindowBytes) return WaitUntil{};
    const absl::Time due = std::max(pending_since_ + kLinger, last_sent_ + kBlockInterval);
    if (available >= kBlockBytes || end_ || due <= now) return SendBlock{*sent_, std::min(available, kBlockBytes)};
    return WaitUntil{due};
  }
  // If the log is shorter than the stored bytes, the job itself must have truncated it.
  if (end_ && !end_sent_) return SendEnd{std::max(*end_, *sent_)};
  return WaitUntil{};
}

void ShipCursor::Sent(const ShipAction& action, absl::Time now) {
  if (const auto* block = std::get_if<SendBlock>(&action)) sent_ = block->first + block->length;
  if (const auto* gap = std::get_if<SendGap>(&action)) {
    sent_ = gap->first + gap->length;
    sent_gaps_.push_back(*gap);
  }
  if (std::holds_alternative<SendEnd>(action)) end_sent_ = true;
  last_sent_ = now;
  pending_since_ = size_ > *sent_ ? now : absl::InfiniteFuture();
}

}  // namespace riseml::agent
