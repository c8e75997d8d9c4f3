#include "services/loghandler/store/segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/store/block.h"

namespace riseml::loghandler {
namespace {

absl::StatusOr<std::string> ReadAt(int fd, const std::string& path, std::int64_t position, std::int64_t length) {
  std::string bytes(length, '\0');
  std::int64_t have = 0;
  while (have < length) {
    const ssize_t n = pread(fd, bytes.data() + have, length - have, position + have);
    if (n < 0 && errno == EINTR) continue;
    const std::string doing = absl::StrCat("read ", path);
    if (n < 0 && errno == EIO) return absl::DataLossError(ErrnoError(EIO, doing).message());
    if (n < 0) return ErrnoError(errno, doing);
    if (n == 0) break;
    have += n;
  }
  bytes.resize(have);
  return bytes;
}

absl::StatusOr<std::int64_t> FileSize(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("stat ", path));
  return std::int64_t{info.st_size};
}

absl::StatusOr<std::uint64_t> InodeOf(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("stat ", path));
  return std::uint64_t{info.st_ino};
}

// False when the file has no sound footer.
absl::StatusOr<bool> ReadFooter(int fd, const std::string& path, std::int64_t size, SegmentIndex* index) {
  if (size < static_cast<std::int64_t>(kHeaderSize + kFooterMarkSize + kTrailerSize)) return false;
  RISEML_ASSIGN_OR_RETURN(const std::string trailer, ReadAt(fd, path, size - kTrailerSize, kTrailerSize));
  const std::optional<FooterPlace> place = ParseTrailer(trailer);
  if (!place.has_value() || place->position + place->size + static_cast<std::int64_t>(kTrailerSize) != size)
    return false;
  RISEML_ASSIGN_OR_RETURN(const std::string footer, ReadAt(fd, path, place->position, place->size));
  return ParseFooter(footer, trailer, index);
}

// Reads records until one is not sound.
absl::Status ScanRecords(int fd, const std::string& path, SegmentIndex* index) {
  index->end = index->start;
  while (true) {
    RISEML_ASSIGN_OR_RETURN(const std::string header, ReadAt(fd, path, index->data_end, kRecordHeaderSize));
    if (header.size() < kRecordHeaderSize) return absl::OkStatus();
    const std::uint32_t length = RecordLength(header);
    if (length == 0 || length > kMaxBlockMessage) return absl::OkStatus();
    RISEML_ASSIGN_OR_RETURN(const std::string payload, ReadAt(fd, path, index->data_end + kRecordHeaderSize, length));
    v1::LogBlock block;
    if (!RecordIsSound(header, payload) || !block.ParseFromString(payload)) return absl::OkStatus();
    if (block.first_offset() != index->end.offset || !CheckBlock(block).ok()) return absl::OkStatus();
    const absl::StatusOr<std::string> bytes = DecodeBlock(block);
    if (!bytes.ok()) return absl::OkStatus();
    BlockEntry entry = DescribeBlock(block, *bytes, index->end);
    entry.file_offset = static_cast<std::uint32_t>(index->data_end);
    entry.length = length;
    index->entries.push_back(entry);
    index->end = After(entry);
    index->data_end += kRecordHeaderSize + length;
  }
}

absl::Status WriteError(int error, const std::string& path) {
  const std::string doing = absl::StrCat("write ", path);
  if (error == EFBIG) return Error(Reason::kDiskFull, absl::StrCat(doing, ": file size limit reached"));
  return ErrnoError(error, doing);
}

}  // namespace

BlockEntry DescribeBlock(const v1::LogBlock& block, absl::string_view bytes, const StreamPoint& at) {
  BlockEntry entry;
  entry.first_offset = block.first_offset();
  entry.raw_length = block.raw_length();
  entry.first_line = at.line;
  entry.lines = static_cast<std::uint32_t>(std::count(bytes.begin(), bytes.end(), '\n'));
  entry.t_min = block.times_size() >= 2 ? block.times(1) : 0;
  const bool gap = block.coding() == v1::LogBlock::GAP;
  const bool at_line_start = gap ? at.at_line_start : bytes.back() == '\n';
  entry.flags = (gap ? kGap : 0) | (at_line_start ? kAtLineStart : 0);
  return entry;
}

StreamPoint After(const BlockEntry& entry) {
  return {entry.end(), entry.first_line + entry.lines, (entry.flags & kAtLineStart) != 0};
}

absl::StatusOr<StreamPoint> ReadStart(int fd, const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(const std::string header, ReadAt(fd, path, 0, kHeaderSize));
  const absl::StatusOr<StreamPoint> start = ParseHeader(header);
  if (!start.ok()) return While(path, start.status());
  return start;
}

absl::StatusOr<SegmentIndex> ReadIndex(int fd, const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(const std::int64_t size, FileSize(fd, path));
  RISEML_ASSIGN_OR_RETURN(const StreamPoint start, ReadStart(fd, path));
  SegmentIndex index;
  index.start = start;
  RISEML_ASSIGN_OR_RETURN(const bool sealed, ReadFooter(fd, path, size, &index));
  if (sealed) return index;
  index = SegmentIndex{.start = start};
  RISEML_RETURN_IF_ERROR(ScanRecords(fd, path, &index));
  return index;
}

absl::StatusOr<v1::LogBlock> ReadBlock(int fd, const std::string& path, const BlockEntry& entry) {
  const std::int64_t length = std::min<std::int64_t>(entry.length, kMaxBlockMessage);
  RISEML_ASSIGN_OR_RETURN(const std::string record, ReadAt(fd, path, entry.file_offset, kRecordHeaderSize + length));
  const absl::string_view view = record;
  v1::LogBlock block;
  if (record.size() != kRecordHeaderSize + entry.length ||
      !RecordIsSound(view.substr(0, kRecordHeaderSize), view.substr(kRecordHeaderSize)) ||
      !block.ParseFromArray(record.data() + kRecordHeaderSize, static_cast<int>(entry.length)))
    return absl::DataLossError(absl::StrCat(path, ": record at ", entry.file_offset, " (log offset ",
                                            entry.first_offset, ") is damaged; restore the file from a backup"));
  return block;
}

absl::StatusOr<SegmentWriter> SegmentWriter::Create(Disk& disk, const std::string& dir, const StreamPoint& start) {
  const std::string path = absl::StrCat(dir, "/", SegmentName(start.offset));
  // The present file keeps its inode until the new one has its own, so that the two can be told apart.
  const bool replaces = FileExists(path);
  const std::string created = replaces ? path + ".new" : path;
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(created, O_WRONLY | O_CREAT | (replaces ? O_TRUNC : O_EXCL)));
  if (replaces && rename(created.c_str(), path.c_str()) != 0) return ErrnoError(errno, absl::StrCat("replace ", path));
  RISEML_ASSIGN_OR_RETURN(const std::uint64_t inode, InodeOf(fd.get(), path));
  SegmentIndex index;
  index.start = index.end = start;
  SegmentWriter writer(disk, path, std::make_shared<UniqueFd>(std::move(fd)), inode, std::move(index));
  RISEML_RETURN_IF_ERROR(writer.WriteAt(0, EncodeHeader(start)));
  return writer;
}

absl::StatusOr<SegmentWriter> SegmentWriter::Reopen(Disk& disk, const std::string& path, SegmentIndex index) {
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY));
  RISEML_ASSIGN_OR_RETURN(const std::int64_t size, FileSize(fd.get(), path));
  if (size > index.data_end) {
    LogWarning("log_segment_cut", {{"path", path}, {"from", size}, {"to", index.data_end}});
    if (ftruncate(fd.get(), index.data_end) != 0) return ErrnoError(errno, absl::StrCat("truncate ", path));
  }
  RISEML_ASSIGN_OR_RETURN(const std::uint64_t inode, InodeOf(fd.get(), path));
  return SegmentWriter(disk, path, std::make_shared<UniqueFd>(std::move(fd)), inode, std::move(index));
}

absl::Status SegmentWriter::WriteAt(std::int64_t position, absl::string_view bytes) {
  if (fd_ == nullptr) {
    RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path_, O_WRONLY));
    RISEML_ASSIGN_OR_RETURN(const std::uint64_t inode, InodeOf(fd.get(), path_));
    if (inode != inode_)
      return Error(Reason::kStale, absl::StrCat("write ", path_, ": another log handler has taken this log over"));
    fd_ = std::make_shared<UniqueFd>(std::move(fd));
  }
  const int error = disk_->Write(fd_->get(), position, bytes);
  if (error == 0) return absl::OkStatus();
  if (ftruncate(fd_->get(), position) != 0)
    LogError("log_segment_cut_failed", {{"path", path_}, {"to", position}});  // the scan by CRC cuts it later
  return WriteError(error, path_);
}

absl::Status SegmentWriter::Append(absl::string_view payload, BlockEntry entry) {
  entry.file_offset = static_cast<std::uint32_t>(index_.data_end);
  entry.length = static_cast<std::uint32_t>(payload.size());
  std::string record = EncodeRecordHeader(payload);
  record.append(payload.data(), payload.size());
  RISEML_RETURN_IF_ERROR(WriteAt(index_.data_end, record));
  index_.entries.push_back(entry);
  index_.end = After(entry);
  index_.data_end += static_cast<std::int64_t>(record.size());
  return absl::OkStatus();
}

absl::Status SegmentWriter::Seal() {
  RISEML_RETURN_IF_ERROR(WriteAt(index_.data_end, EncodeFooter(index_)));
  index_.sealed = true;
  return absl::OkStatus();
}

}  // namespace riseml::loghandler
