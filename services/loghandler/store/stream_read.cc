// The reading half of Stream.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/store/block.h"
#include "services/loghandler/store/stream.h"

namespace riseml::loghandler {
namespace {

constexpr std::size_t kMaxPieceTimes = 1024;  // a chunk with more times than this takes no further block

absl::Status Damaged(const std::string& path, std::int64_t offset) {
  return absl::DataLossError(
      absl::StrCat(path, ": holds nothing for log offset ", offset, "; restore the file from a backup"));
}

// Copies the times at which the bytes of a block were printed. The last time before the chunk's start is moved to that
// start.
void AddTimes(const v1::LogBlock& block, Chunk* chunk) {
  for (int i = 0; i + 1 < block.times_size(); i += 2) {
    if (block.times(i) < 0 || block.times(i) >= block.raw_length()) continue;
    const std::int64_t at = std::max(chunk->first_offset, block.first_offset() + block.times(i));
    while (!chunk->times.empty() && chunk->times.back().first >= at) chunk->times.pop_back();
    chunk->times.emplace_back(at, block.times(i + 1));
  }
}

}  // namespace

absl::StatusOr<Stream::FileEntries> Stream::Locate(std::int64_t offset, SegmentCache& cache) const {
  FileEntries part;
  const auto select = [&part, offset](const std::vector<BlockEntry>& entries, std::int64_t limit) {
    auto it =
        std::partition_point(entries.begin(), entries.end(), [&](const BlockEntry& e) { return e.end() <= offset; });
    std::int64_t taken = 0;
    for (; it != entries.end() && it->first_offset < limit; ++it) {
      taken += it->raw_length;
      if (!part.entries.empty() && taken > kMaxRawLength) break;
      part.entries.push_back(*it);
    }
  };
  std::int64_t limit = 0;
  {
    MutexLock lock(mu_);
    limit = durable_.offset;
    if (offset >= limit) return part;
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    if (next == starts_.begin()) return Damaged(dir_, offset);
    part.path = SegmentPath(*std::prev(next));
    part.grows = active_.has_value() && next == starts_.end();
    if (part.grows) select(active_->index().entries, limit);
  }
  if (part.grows) return part;
  RISEML_ASSIGN_OR_RETURN(const auto file, cache.OpenIndexed(part.path));
  select(file->index->entries, limit);
  if (part.entries.empty()) return Damaged(part.path, offset);
  return part;
}

absl::StatusOr<Chunk> Stream::Read(std::int64_t offset, SegmentCache& cache) const {
  Chunk chunk{.first_offset = offset};
  RISEML_ASSIGN_OR_RETURN(const FileEntries part, Locate(offset, cache));
  if (part.entries.empty()) return chunk;
  if (const BlockEntry& first = part.entries.front(); (first.flags & kGap) != 0) {
    chunk.gap_length = first.end() - offset;
    return chunk;
  }
  RISEML_ASSIGN_OR_RETURN(const auto file, part.grows ? cache.OpenRaw(part.path) : cache.OpenIndexed(part.path));
  for (const BlockEntry& entry : part.entries) {
    if ((entry.flags & kGap) != 0 || chunk.times.size() > kMaxPieceTimes) break;
    RISEML_ASSIGN_OR_RETURN(const v1::LogBlock block, ReadBlock(file->fd.get(), file->path, entry));
    RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(block));
    chunk.data.append(bytes, std::max<std::int64_t>(0, offset - entry.first_offset));
    AddTimes(block, &chunk);
  }
  return chunk;
}

absl::StatusOr<std::string> Stream::SegmentOfLine(std::int64_t line, SegmentCache& cache) const {
  std::vector<std::int64_t> starts;
  {
    MutexLock lock(mu_);
    starts = starts_;
  }
  // First of the segments [low, high) that begins at or after the line's newline; the one before it holds the newline.
  std::size_t low = 0;
  std::size_t high = starts.size();
  bool first_probe = true;  // nearly always the answer is the last segment
  while (low < high) {
    const std::size_t middle = std::exchange(first_probe, false) ? high - 1 : low + (high - low) / 2;
    const std::string path = SegmentPath(starts[middle]);
    RISEML_ASSIGN_OR_RETURN(const auto file, cache.OpenRaw(path));
    RISEML_ASSIGN_OR_RETURN(const StreamPoint start, ReadStart(file->fd.get(), path));
    if (start.line < line) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return Damaged(dir_, 0);
  return SegmentPath(starts[low - 1]);
}

absl::StatusOr<std::int64_t> Stream::TailOffset(std::int64_t lines, SegmentCache& cache) const {
  std::int64_t newline = 0;  // the tail begins after this newline, counted from 1
  FileEntries part;
  {
    MutexLock lock(mu_);
    if (lines <= 0) return durable_.offset;
    newline = durable_.line + (durable_.at_line_start ? 0 : 1) - lines;
    if (newline <= 0) return 0;
    if (active_.has_value() && active_->index().start.line < newline) {
      part = {active_->path(), true, active_->index().entries};
    }
  }
  std::shared_ptr<const SegmentFile> file;
  if (part.grows) {
    RISEML_ASSIGN_OR_RETURN(file, cache.OpenRaw(part.path));
  } else {
    RISEML_ASSIGN_OR_RETURN(const std::string path, SegmentOfLine(newline, cache));
    RISEML_ASSIGN_OR_RETURN(file, cache.OpenIndexed(path));
    part.entries = file->index->entries;
  }
  const auto it = std::partition_point(part.entries.begin(), part.entries.end(),
                                       [&](const BlockEntry& e) { return e.first_line + e.lines < newline; });
  if (it == part.entries.end()) return Damaged(file->path, 0);
  RISEML_ASSIGN_OR_RETURN(const v1::LogBlock block, ReadBlock(file->fd.get(), file->path, *it));
  RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(block));
  std::size_t at = 0;
  for (std::int64_t i = it->first_line; i < newline; ++i) {
    at = bytes.find('\n', at);
    if (at == std::string::npos) return Damaged(file->path, it->first_offset);
    ++at;
  }
  return it->first_offset + static_cast<std::int64_t>(at);
}

}  // namespace riseml::loghandler
