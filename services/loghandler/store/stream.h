// One log stream on disk: <dir>/seg-….rlog, and stream.pb once it is complete. Bytes are appended, made durable
// together, and only durable bytes are shown to readers, so that bytes a reader has seen never vanish.
//
// Only Load and Commit wait for the disk, and neither holds the stream's lock meanwhile: a slow disk delays
// acknowledgements, but neither readers nor those who append. Every segment but the last is durable before the next one
// begins, so recovery looks at the last one only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/store/disk.h"
#include "services/loghandler/store/ingest.h"
#include "services/loghandler/store/segment.h"
#include "services/loghandler/store/segment_cache.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

struct StreamOptions {
  std::int64_t segment_bytes = 8 << 20;  // a segment is sealed once it is this long
  std::size_t segment_blocks = 4096;     // … or holds this many blocks
  std::int64_t max_ahead = 4 << 20;      // written bytes that are not durable yet, about; beyond it Append says kWait
  // True: other processes have written, and may still write, to segments that this one finds. It then leaves them as
  // they are and begins a new one. Bytes that both write at one offset are the same.
  bool shared = false;
};

// Bytes as a reader gets them, or a gap, or nothing.
struct Chunk {
  std::int64_t first_offset = 0;
  std::string data;                                          // at most kMaxRawLength
  std::int64_t gap_length = 0;                               // more than 0: these bytes are lost, data is empty
  std::vector<std::pair<std::int64_t, std::int64_t>> times;  // offset, ms since 1970
  bool empty() const { return data.empty() && gap_length == 0; }
  std::int64_t end() const { return first_offset + gap_length + static_cast<std::int64_t>(data.size()); }
};

struct StreamState {
  std::int64_t next_offset = 0;     // everything before it is written
  std::int64_t durable_offset = 0;  // everything before it is durable
  bool complete = false;            // the end, at durable_offset, is durable too
  absl::Status end_error;           // why the end could not be stored; cleared by the next End
};

struct AppendResult {
  IngestAction action = IngestAction::kDuplicate;
  std::int64_t stored_bytes = 0;   // raw bytes written now
  std::int64_t trimmed_bytes = 0;  // raw bytes that were there already
};

// Thread-safe.
class Stream {
 public:
  // `options` and `disk` must outlive this object. Nothing is created on disk before the first Append or End.
  Stream(std::string dir, StreamId id, const StreamOptions& options, Disk& disk);

  // Reads what is on disk, and makes it durable; once. Must be called before anything else. Blocks.
  absl::Status Load();

  // Stores a checked block (see CheckBlock), or says why not: INVALID_ARGUMENT, OFFSET_MISMATCH, DISK_FULL. Does not
  // wait for the disk. After kWait a Commit is due.
  absl::StatusOr<AppendResult> Append(const v1::LogBlock& block);
  // Notes the end marker; Commit stores it. OFFSET_MISMATCH when it contradicts what is stored.
  absl::StatusOr<AppendResult> End(std::int64_t final_offset);

  // Makes everything written before the call durable, then the end marker if there is one. An error is fatal: what the
  // disk holds is unknown from then on. Called by one thread at a time. Blocks.
  absl::Status Commit(absl::Time now);

  StreamState state() const;
  const StreamId& id() const { return id_; }

  // The next durable bytes from `offset` on; empty at the durable end. DATA_LOSS when the file is damaged there.
  absl::StatusOr<Chunk> Read(std::int64_t offset, SegmentCache& cache) const;
  // Offset at which the last `lines` lines begin (an unfinished last line counts).
  absl::StatusOr<std::int64_t> TailOffset(std::int64_t lines, SegmentCache& cache) const;

  // Releases the write descriptor until the next Append, unless bytes wait to be made durable.
  void CloseIfClean();

  // Refuses everything from now on with STALE: another log handler owns the stream.
  void Release();

 private:
  struct FileEntries {  // entries of one file, in order
    std::string path;
    bool grows = false;
    std::vector<BlockEntry> entries;
  };
  // Content of a stream as found by Load.
  struct Content {
    std::vector<std::int64_t> starts;  // first offsets of all segments
    std::optional<SegmentWriter> active;
    StreamPoint end;
    bool complete = false;
  };
  // Directories with entries that are not durable yet.
  enum class NewEntries { kNone, kSegment, kDirectories };

  std::string SegmentPath(std::int64_t first_offset) const;
  absl::StatusOr<Content> ReadContent();
  absl::Status ReadSegments(Content* content);
  absl::StatusOr<std::optional<std::int64_t>> ReadManifest() const;
  absl::StatusOr<bool> PrepareWriter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::int64_t> SealForEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status WriteManifest(std::int64_t end, std::int64_t lines, absl::Time now);
  absl::Status Sync(int fd, const std::string& path) const;
  absl::Status SyncDirectories(NewEntries entries) const;
  absl::StatusOr<FileEntries> Locate(std::int64_t offset, SegmentCache& cache) const;
  absl::StatusOr<std::string> SegmentOfLine(std::int64_t line, SegmentCache& cache) const;

  const std::string dir_;
  const StreamId id_;
  const StreamOptions& options_;
  Disk& disk_;
  Mutex load_mu_;  // taken before mu_
  bool loaded_ ABSL_GUARDED_BY(load_mu_) = false;
  mutable Mutex mu_;
  std::vector<std::int64_t> starts_ ABSL_GUARDED_BY(mu_);     // first offsets of all segments
  std::optional<SegmentWriter> active_ ABSL_GUARDED_BY(mu_);  // the last segment, while it is not sealed
  NewEntries new_entries_ ABSL_GUARDED_BY(mu_) = NewEntries::kNone;
  StreamPoint written_ ABSL_GUARDED_BY(mu_);
  StreamPoint durable_ ABSL_GUARDED_BY(mu_);
  std::optional<std::int64_t> end_wanted_ ABSL_GUARDED_BY(mu_);
  absl::Status end_error_ ABSL_GUARDED_BY(mu_);
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
  bool released_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace riseml::loghandler
