// Segment files: written at the end only, read by index. See segment_format.h for the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/files/file.h"
#include "services/loghandler/store/disk.h"
#include "services/loghandler/store/segment_format.h"

namespace riseml::loghandler {

// The entry of a block that is stored at `at`; `bytes` is the decoded block. Leaves the file position to the writer.
BlockEntry DescribeBlock(const v1::LogBlock& block, absl::string_view bytes, const StreamPoint& at);
// Returns the state of the stream after an entry.
StreamPoint After(const BlockEntry& entry);

// Index of a segment: from its footer when it is sealed, else by reading every record up to the last sound one.
// DATA_LOSS when not even the header is sound (a crash while the file was created leaves such a file).
absl::StatusOr<SegmentIndex> ReadIndex(int fd, const std::string& path);

// Returns the beginning of a segment, from its header.
absl::StatusOr<StreamPoint> ReadStart(int fd, const std::string& path);

// One block by its entry. DATA_LOSS names file and position. Thread-safe: reads with pread.
absl::StatusOr<v1::LogBlock> ReadBlock(int fd, const std::string& path, const BlockEntry& entry);

// Writes one segment. A write that fails leaves the file as it was before. Nothing here is durable by itself: the
// caller syncs the file and its directory. Not thread-safe. The disk must outlive this object.
class SegmentWriter {
 public:
  // A new file. Replaces one without a record by another file of that name: another process may still write to it.
  static absl::StatusOr<SegmentWriter> Create(Disk& disk, const std::string& dir, const StreamPoint& start);
  // Goes on in an unsealed file; cuts off what follows the last sound record.
  static absl::StatusOr<SegmentWriter> Reopen(Disk& disk, const std::string& path, SegmentIndex index);

  // Appends a serialised block. DISK_FULL leaves everything as it was.
  absl::Status Append(absl::string_view payload, BlockEntry entry);
  // Writes the footer; nothing can be appended afterwards. Without it the file is still whole: see ReadIndex.
  absl::Status Seal();

  const SegmentIndex& index() const { return index_; }
  const std::string& path() const { return path_; }
  // Shared, so that a sync may go on while the writer moves to its next segment. Null while closed.
  std::shared_ptr<UniqueFd> fd() const { return fd_; }
  // Releases the descriptor until the next Append.
  void Close() { fd_.reset(); }

 private:
  SegmentWriter(Disk& disk, std::string path, std::shared_ptr<UniqueFd> fd, std::uint64_t inode, SegmentIndex index)
      : disk_(&disk), path_(std::move(path)), fd_(std::move(fd)), inode_(inode), index_(std::move(index)) {}
  absl::Status WriteAt(std::int64_t position, absl::string_view bytes);

  Disk* disk_;
  std::string path_;
  std::shared_ptr<UniqueFd> fd_;
  std::uint64_t inode_;  // of the file, to notice that another process has replaced it
  SegmentIndex index_;
};

}  // namespace riseml::loghandler
