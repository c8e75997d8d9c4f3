#include "services/loghandler/store/stream.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/store/block.h"

namespace riseml::loghandler {
namespace {

constexpr char kManifestName[] = "stream.pb";
constexpr char kReleased[] = ": another log handler owns it now";

// A crash while a segment was created leaves a file without content; nothing of it was ever acknowledged.
absl::StatusOr<bool> IsStillborn(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("stat ", path));
  if (info.st_size > static_cast<std::int64_t>(kHeaderSize)) return false;
  const absl::StatusOr<SegmentIndex> index = ReadIndex(fd, path);
  return absl::IsDataLoss(index.status());
}

std::string ParentOf(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

}  // namespace

Stream::Stream(std::string dir, StreamId id, const StreamOptions& options, Disk& disk)
    : dir_(std::move(dir)), id_(std::move(id)), options_(options), disk_(disk) {}

std::string Stream::SegmentPath(std::int64_t first_offset) const {
  return absl::StrCat(dir_, "/", SegmentName(first_offset));
}

absl::Status Stream::Sync(int fd, const std::string& path) const {
  const int error = disk_.Sync(fd);
  return error == 0 ? absl::OkStatus() : ErrnoError(error, absl::StrCat("fsync ", path));
}

absl::Status Stream::SyncDirectories(NewEntries entries) const {
  if (entries == NewEntries::kNone) return absl::OkStatus();
  const std::string job = ParentOf(dir_);
  for (const std::string& dir : {dir_, job, ParentOf(job)}) {
    const absl::Status synced = disk_.SyncDirectory(dir);
    // The log of a deleted job may be removed while somebody still writes it.
    if (!synced.ok() && !absl::IsNotFound(synced)) return synced;
    if (entries == NewEntries::kSegment) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Stream::Load() {
  MutexLock load(load_mu_);
  if (loaded_) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(Content content, ReadContent());
  loaded_ = true;
  MutexLock lock(mu_);
  starts_ = std::move(content.starts);
  active_ = std::move(content.active);
  written_ = durable_ = content.end;
  complete_ = content.complete;
  if (complete_) end_wanted_ = content.end.offset;
  return absl::OkStatus();
}

absl::StatusOr<Stream::Content> Stream::ReadContent() {
  Content content;
  RISEML_ASSIGN_OR_RETURN(const std::optional<std::int64_t> final_offset, ReadManifest());
  content.complete = final_offset.has_value();
  RISEML_RETURN_IF_ERROR(ReadSegments(&content));
  if (content.complete && *final_offset != content.end.offset)
    return absl::DataLossError(absl::StrCat(dir_, ": the log has ", *final_offset, " bytes, but its segments end at ",
                                            content.end.offset, "; restore them from a backup"));
  return content;
}

absl::Status Stream::ReadSegments(Content* content) {
  std::vector<std::int64_t>& starts = content->starts;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir_, error), end; !error && it != end; it.increment(error)) {
    if (const auto start = ParseSegmentName(it->path().filename().string()); start.has_value())
      starts.push_back(*start);
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoError(error.value(), absl::StrCat("list ", dir_));
  std::sort(starts.begin(), starts.end());
  while (!starts.empty()) {
    const std::string path = SegmentPath(starts.back());
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY));
    RISEML_ASSIGN_OR_RETURN(const bool stillborn, IsStillborn(fd.get(), path));
    if (stillborn) {
      starts.pop_back();
      continue;
    }
    RISEML_ASSIGN_OR_RETURN(SegmentIndex index, ReadIndex(fd.get(), path));
    if (!content->complete) {  // bytes of a killed process may still be in memory only
      RISEML_RETURN_IF_ERROR(Sync(fd.get(), path));
      RISEML_RETURN_IF_ERROR(SyncDirectories(NewEntries::kDirectories));
    }
    content->end = index.end;
    if (!index.sealed && !options_.shared) {
      RISEML_ASSIGN_OR_RETURN(content->active, SegmentWriter::Reopen(disk_, path, std::move(index)));
      content->active->Close();
    }
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

// Length of the log, once it is complete; everything before it is durable then.
absl::StatusOr<std::optional<std::int64_t>> Stream::ReadManifest() const {
  const std::string path = absl::StrCat(dir_, "/", kManifestName);
  const absl::StatusOr<std::string> bytes = ReadFile(path, 64 << 10);
  if (HasReason(bytes.status(), Reason::kNotFound)) return std::nullopt;
  RISEML_RETURN_IF_ERROR(bytes.status());
  internal::v1::LogManifest manifest;
  if (!manifest.ParseFromString(*bytes))
    return absl::DataLossError(absl::StrCat(path, " is damaged; restore the file from a backup"));
  return manifest.final_offset();
}

// Makes active_ a segment with room. False when it is full and not durable yet.
absl::StatusOr<bool> Stream::PrepareWriter() {
  if (active_.has_value()) {
    const SegmentIndex& index = active_->index();
    if (index.data_end < options_.segment_bytes && index.entries.size() < options_.segment_blocks) return true;
    if (durable_.offset < written_.offset) return false;
    RISEML_RETURN_IF_ERROR(active_->Seal());
    active_.reset();
  }
  if (starts_.empty()) {
    RISEML_RETURN_IF_ERROR(MakeDirectories(dir_));
    new_entries_ = NewEntries::kDirectories;
  } else {
    new_entries_ = std::max(new_entries_, NewEntries::kSegment);
  }
  RISEML_ASSIGN_OR_RETURN(active_, SegmentWriter::Create(disk_, dir_, written_));
  // A segment of another process may begin here without a record; the new one has replaced it.
  if (starts_.empty() || starts_.back() != written_.offset) starts_.push_back(written_.offset);
  return true;
}

absl::StatusOr<AppendResult> Stream::Append(const v1::LogBlock& block) {
  MutexLock lock(mu_);
  if (released_) return Error(Reason::kStale, absl::StrCat("store log ", Print(id_), kReleased));
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
    case IngestAction::kWait:
      return result;
    case IngestAction::kTrim: {
      RISEML_ASSIGN_OR_RETURN(trimmed, TrimBlock(block, decision.skip));
      break;
    }
    case IngestAction::kStore:
      break;
  }
  if (written_.offset - durable_.offset > options_.max_ahead) return AppendResult{IngestAction::kWait};
  const v1::LogBlock& rest = decision.action == IngestAction::kTrim ? trimmed : block;
  RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(rest));
  RISEML_ASSIGN_OR_RETURN(const bool has_room, PrepareWriter());
  if (!has_room) return AppendResult{IngestAction::kWait};
  RISEML_RETURN_IF_ERROR(active_->Append(rest.SerializeAsString(), DescribeBlock(rest, bytes, written_)));
  written_ = active_->index().end;
  result.stored_bytes = rest.raw_length();
  result.trimmed_bytes = decision.skip;
  return result;
}

absl::StatusOr<AppendResult> Stream::End(std::int64_t final_offset) {
  MutexLock lock(mu_);
  if (released_) return Error(Reason::kStale, absl::StrCat("end log ", Print(id_), kReleased));
  const IngestDecision decision = DecideEnd({written_.offset, end_wanted_}, final_offset);
  if (decision.action == IngestAction::kRefuse) return decision.refusal;
  if (decision.action == IngestAction::kStore) {
    end_wanted_ = final_offset;
    end_error_ = absl::OkStatus();
  }
  return AppendResult{decision.action};
}

absl::Status Stream::Commit(absl::Time now) {
  std::shared_ptr<UniqueFd> fd;
  std::string path;
  StreamPoint upto;
  NewEntries entries = NewEntries::kNone;
  {
    MutexLock lock(mu_);
    upto = written_;
    if (active_.has_value() && durable_.offset < written_.offset) {
      fd = active_->fd();
      path = active_->path();
      entries = std::exchange(new_entries_, NewEntries::kNone);
    }
  }
  if (fd != nullptr) RISEML_RETURN_IF_ERROR(Sync(fd->get(), path));  // appends go on meanwhile
  RISEML_RETURN_IF_ERROR(SyncDirectories(entries));
  absl::StatusOr<std::int64_t> lines = 0;
  {
    MutexLock lock(mu_);
    durable_ = upto;
    if (end_wanted_ != upto.offset || complete_) return absl::OkStatus();
    lines = SealForEnd();
  }
  // Nothing can be appended between here and the manifest, because the log has its end.
  const absl::Status stored = lines.ok() ? WriteManifest(upto.offset, *lines, now) : lines.status();
  MutexLock lock(mu_);
  complete_ = stored.ok();
  if (!stored.ok()) {
    end_wanted_.reset();
    end_error_ = While("store the end of the log", stored);
  }
  return absl::OkStatus();
}

// Writes the footer of the last segment. Returns the number of newlines of the whole log.
absl::StatusOr<std::int64_t> Stream::SealForEnd() {
  if (active_.has_value()) RISEML_RETURN_IF_ERROR(active_->Seal());
  active_.reset();
  return written_.line;
}

absl::Status Stream::WriteManifest(std::int64_t end, std::int64_t lines, absl::Time now) {
  if (end == 0) {  // no segment has made the directory
    RISEML_RETURN_IF_ERROR(MakeDirectories(dir_));
    RISEML_RETURN_IF_ERROR(SyncDirectories(NewEntries::kDirectories));
  }
  internal::v1::LogManifest manifest;
  manifest.set_final_offset(end);
  manifest.set_lines(lines);
  manifest.mutable_completed_time()->set_seconds(absl::ToUnixSeconds(now));
  return disk_.Replace(absl::StrCat(dir_, "/", kManifestName), manifest.SerializeAsString());
}

StreamState Stream::state() const {
  MutexLock lock(mu_);
  return {written_.offset, durable_.offset, complete_, end_error_};
}

void Stream::Release() {
  MutexLock lock(mu_);
  released_ = true;
}

void Stream::CloseIfClean() {
  MutexLock lock(mu_);
  if (active_.has_value() && durable_.offset == written_.offset) active_->Close();
}

}  // namespace riseml::loghandler
