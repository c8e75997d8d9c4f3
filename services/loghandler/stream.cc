#include "services/loghandler/stream.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/block.h"

namespace riseml::loghandler {
namespace {

constexpr char kManifestName[] = "stream.pb";
constexpr std::size_t kMaxPieceTimes = 1024;  // no further block joins a piece with more

// A crash while a segment was created leaves a file without content; nothing of it was ever acknowledged.
absl::StatusOr<bool> IsStillborn(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("stat ", path));
  if (info.st_size > static_cast<std::int64_t>(kHeaderSize)) return false;
  const absl::StatusOr<SegmentIndex> index = ReadIndex(fd, path);
  return absl::IsDataLoss(index.status());
}

absl::Status Damaged(const std::string& path, std::int64_t offset) {
  return absl::DataLossError(
      absl::StrCat(path, ": holds nothing for log offset ", offset, "; restore the file from a backup"));
}

// Takes over when the bytes of a block were printed; the time in force at the piece's start is moved there.
void AddTimes(const v1::LogBlock& block, Piece* piece) {
  for (int i = 0; i + 1 < block.times_size(); i += 2) {
    if (block.times(i) < 0 || block.times(i) >= block.raw_length()) continue;
    const std::int64_t at = std::max(piece->first_offset, block.first_offset() + block.times(i));
    while (!piece->times.empty() && piece->times.back().first >= at) piece->times.pop_back();
    piece->times.emplace_back(at, block.times(i + 1));
  }
}

}  // namespace

Stream::Stream(std::string dir, StreamId id, const StreamOptions& options)
    : dir_(std::move(dir)), id_(std::move(id)), options_(options) {}

std::string Stream::SegmentPath(std::int64_t first_offset) const {
  return absl::StrCat(dir_, "/", SegmentName(first_offset));
}

absl::Status Stream::Sync(int fd, const std::string& path) const {
  if (options_.sync(fd) != 0) return absl::DataLossError(ErrnoError(errno, absl::StrCat("fsync ", path)).message());
  return absl::OkStatus();
}

absl::Status Stream::Load() {
  MutexLock lock(mu_);
  if (loaded_) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(LoadSegments());
  RISEML_RETURN_IF_ERROR(LoadManifest());
  loaded_ = true;
  return absl::OkStatus();
}

absl::Status Stream::LoadSegments() {
  starts_.clear();
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir_, error), end; !error && it != end; it.increment(error)) {
    if (const auto start = ParseSegmentName(it->path().filename().string()); start.has_value())
      starts_.push_back(*start);
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoError(error.value(), absl::StrCat("list ", dir_));
  std::sort(starts_.begin(), starts_.end());
  while (!starts_.empty()) {
    const std::string path = SegmentPath(starts_.back());
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY));
    RISEML_ASSIGN_OR_RETURN(const bool stillborn, IsStillborn(fd.get(), path));
    if (stillborn) {
      starts_.pop_back();
      continue;
    }
    RISEML_ASSIGN_OR_RETURN(SegmentIndex index, ReadIndex(fd.get(), path));
    // What a killed process wrote may still be in memory only.
    RISEML_RETURN_IF_ERROR(Sync(fd.get(), path));
    RISEML_RETURN_IF_ERROR(SyncDirectory(dir_));
    written_ = durable_ = index.end;
    if (!index.sealed) {
      RISEML_ASSIGN_OR_RETURN(active_, SegmentWriter::Reopen(path, std::move(index)));
      active_->Close();
    }
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Stream::LoadManifest() {
  const std::string path = absl::StrCat(dir_, "/", kManifestName);
  const absl::StatusOr<std::string> bytes = ReadFile(path, 64 << 10);
  if (HasReason(bytes.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(bytes.status());
  internal::v1::LogManifest manifest;
  if (!manifest.ParseFromString(*bytes))
    return absl::DataLossError(absl::StrCat(path, " is damaged; restore the file from a backup"));
  if (manifest.final_offset() != written_.offset)
    return absl::DataLossError(absl::StrCat(path, ": the log has ", manifest.final_offset(),
                                            " bytes, but its segments end at ", written_.offset,
                                            "; restore them from a backup"));
  end_wanted_ = manifest.final_offset();
  complete_ = true;
  return absl::OkStatus();
}

absl::Status Stream::MakeDirectory() {
  const std::string parent = std::filesystem::path(dir_).parent_path().string();
  RISEML_RETURN_IF_ERROR(MakeDirectories(dir_));
  RISEML_RETURN_IF_ERROR(SyncDirectory(parent));
  return SyncDirectory(std::filesystem::path(parent).parent_path().string());
}

absl::Status Stream::SealActive() {
  RISEML_RETURN_IF_ERROR(active_->Seal());
  RISEML_RETURN_IF_ERROR(Sync(active_->fd()->get(), active_->path()));
  active_.reset();
  return absl::OkStatus();
}

absl::Status Stream::PrepareWriter() {
  if (active_.has_value()) {
    const SegmentIndex& index = active_->index();
    if (index.data_end < options_.segment_bytes && index.entries.size() < options_.segment_blocks)
      return absl::OkStatus();
    // Every segment but the last is durable before the next one begins: recovery has to look at the last one only.
    RISEML_RETURN_IF_ERROR(SealActive());
  }
  if (starts_.empty()) RISEML_RETURN_IF_ERROR(MakeDirectory());
  RISEML_ASSIGN_OR_RETURN(active_, SegmentWriter::Create(dir_, written_));
  starts_.push_back(written_.offset);
  return absl::OkStatus();
}

absl::StatusOr<AppendResult> Stream::Append(const v1::LogBlock& block) {
  MutexLock lock(mu_);
  const IngestDecision decision = DecideBlock({written_.offset, end_wanted_}, block.first_offset(), block.raw_length());
  AppendResult result{decision.action};
  v1::LogBlock trimmed;
  switch (decision.action) {
    case IngestAction::kRefuse:
      return decision.refusal;
    case IngestAction::kDuplicate:
      result.trimmed_bytes = block.raw_length();
      return result;
    case IngestAction::kGoBack:
      return result;
    case IngestAction::kTrim: {
      RISEML_ASSIGN_OR_RETURN(trimmed, TrimBlock(block, decision.skip));
      break;
    }
    case IngestAction::kStore:
      break;
  }
  const v1::LogBlock& rest = decision.action == IngestAction::kTrim ? trimmed : block;
  RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(rest));
  RISEML_RETURN_IF_ERROR(PrepareWriter());
  RISEML_RETURN_IF_ERROR(active_->Append(rest.SerializeAsString(), DescribeBlock(rest, bytes, written_)));
  written_ = active_->index().end;
  result.stored_bytes = rest.raw_length();
  result.trimmed_bytes = decision.skip;
  return result;
}

absl::StatusOr<AppendResult> Stream::End(std::int64_t final_offset) {
  MutexLock lock(mu_);
  const IngestDecision decision = DecideEnd({written_.offset, end_wanted_}, final_offset);
  if (decision.action == IngestAction::kRefuse) return decision.refusal;
  if (decision.action == IngestAction::kStore) {
    end_wanted_ = final_offset;
    end_error_ = absl::OkStatus();
  }
  return AppendResult{decision.action};
}

absl::Status Stream::StoreEnd(absl::Time now) {
  if (active_.has_value()) RISEML_RETURN_IF_ERROR(SealActive());
  if (starts_.empty()) RISEML_RETURN_IF_ERROR(MakeDirectory());
  internal::v1::LogManifest manifest;
  manifest.set_final_offset(*end_wanted_);
  manifest.set_lines(written_.line);
  manifest.mutable_completed_time()->set_seconds(absl::ToUnixSeconds(now));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(dir_, "/", kManifestName), manifest.SerializeAsString()));
  complete_ = true;
  return absl::OkStatus();
}

absl::Status Stream::Commit(absl::Time now) {
  std::shared_ptr<UniqueFd> fd;
  std::string path;
  StreamPoint upto;
  {
    MutexLock lock(mu_);
    upto = written_;
    if (active_.has_value() && durable_.offset < written_.offset) {
      fd = active_->fd();
      path = active_->path();
    }
  }
  if (fd != nullptr) RISEML_RETURN_IF_ERROR(Sync(fd->get(), path));  // appends go on meanwhile
  MutexLock lock(mu_);
  durable_ = upto;
  if (end_wanted_ != upto.offset || complete_) return absl::OkStatus();
  const absl::Status stored = StoreEnd(now);
  if (absl::IsDataLoss(stored)) return stored;
  if (!stored.ok()) {
    end_wanted_.reset();
    end_error_ = While("store the end of the log", stored);
  }
  return absl::OkStatus();
}

StreamState Stream::state() const {
  MutexLock lock(mu_);
  return {written_.offset, durable_.offset, complete_, end_error_};
}

void Stream::CloseIfClean() {
  MutexLock lock(mu_);
  if (active_.has_value() && durable_.offset == written_.offset) active_->Close();
}

absl::StatusOr<Stream::Part> Stream::Locate(std::int64_t offset, SegmentCache& cache) const {
  Part part;
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

absl::StatusOr<Piece> Stream::Read(std::int64_t offset, SegmentCache& cache) const {
  Piece piece{.first_offset = offset};
  RISEML_ASSIGN_OR_RETURN(const Part part, Locate(offset, cache));
  if (part.entries.empty()) return piece;
  if (const BlockEntry& first = part.entries.front(); (first.flags & kGap) != 0) {
    piece.gap_length = first.end() - offset;
    return piece;
  }
  RISEML_ASSIGN_OR_RETURN(const auto file, part.grows ? cache.OpenRaw(part.path) : cache.OpenIndexed(part.path));
  for (const BlockEntry& entry : part.entries) {
    if ((entry.flags & kGap) != 0 || piece.times.size() > kMaxPieceTimes) break;
    RISEML_ASSIGN_OR_RETURN(const v1::LogBlock block, ReadBlock(file->fd.get(), file->path, entry));
    RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(block));
    piece.data.append(bytes, std::max<std::int64_t>(0, offset - entry.first_offset));
    AddTimes(block, &piece);
  }
  return piece;
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
  Part part;
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
