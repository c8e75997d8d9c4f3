// All log streams below one directory, <dir>/logs/<job uid>/<attempt>/, and how far the sources of their records have
// been read, <dir>/sources/<source>.pb.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/store/disk.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/segment_cache.h"
#include "services/loghandler/store/source_positions.h"
#include "services/loghandler/store/stream.h"

namespace riseml::loghandler {

struct StoreOptions {
  std::string dir;
  StreamOptions stream;
  std::shared_ptr<Disk> disk = std::make_shared<FileDisk>();
  // After a pause, bytes are made durable at once; otherwise this long after the last commit, with all that came
  // meanwhile…
  absl::Duration commit_delay = absl::Milliseconds(5);
  std::int64_t commit_bytes = 4 << 20;  // … unless so many wait
  std::size_t max_streams = 1024;       // idle streams remembered
  std::size_t max_writers = 512;        // descriptors kept open for writing
  std::size_t max_readers = 128;        // descriptors and indexes kept open for reading
  // Called once when an fsync has failed: the process must stop, since what the disk holds is unknown.
  std::function<void(const absl::Status&)> on_fatal;
};

// Thread-safe. A committer thread makes streams durable in groups. The positions noted before a group was taken are
// written after it, so a position never covers data that is not durable. After a crash the data may be ahead of the
// position; the records in between come again and are dropped by their offsets.
class Store {
 public:
  // NEWER_FORMAT when a newer version wrote the directory, UNAVAILABLE when another process uses it. `clock` and
  // `metrics` must outlive this object.
  static absl::StatusOr<std::unique_ptr<Store>> Open(StoreOptions options, const Clock& clock, LogMetrics& metrics);
  ~Store() { Stop(); }

  // Adds a listener that the committer thread calls after bytes of a stream became durable or its end could not be
  // stored. It must not block. Call this before the first Append.
  void AddListener(std::function<void(const Stream&)> listener) { listeners_.push_back(std::move(listener)); }
  // The same for positions of sources.
  void AddPositionListener(std::function<void(const std::string& source, std::int64_t position)> listener) {
    position_listeners_.push_back(std::move(listener));
  }

  // Returns a stream, whether anything of it is stored or not. INVALID_ARGUMENT for an invalid id.
  absl::StatusOr<std::shared_ptr<Stream>> Get(const StreamId& id);

  // See Stream. INVALID_ARGUMENT for a block that does not pass CheckBlock.
  absl::StatusOr<AppendResult> Append(const std::shared_ptr<Stream>& stream, const v1::LogBlock& block);
  absl::StatusOr<AppendResult> End(const std::shared_ptr<Stream>& stream, std::int64_t final_offset);

  // Returns the position at which a source continues after a start; see SourcePositions::Load.
  absl::StatusOr<std::optional<std::int64_t>> Position(const std::string& source) { return positions_.Load(source); }
  // Begins a source anew at a position, which may be lower than the durable one; see SourcePositions::Reset. No call of
  // NotePosition for this source may be under way.
  absl::Status ResetPosition(const std::string& source, std::int64_t next) { return positions_.Reset(source, next); }
  // Notes that calls which have returned appended all records of a source before `next`. Becomes durable after them.
  // `last_crc` is the CRC32C of the last of these records; 0: not known.
  void NotePosition(const std::string& source, std::int64_t next, std::uint32_t last_crc = 0);

  // Forgets what is in memory of the streams that `gone` names, and refuses to store more of them in objects that are
  // still held. The next Get reads the disk anew. For streams that other log handlers own, or have owned.
  void Release(const std::function<bool(const StreamId&)>& gone);

  // Removes all logs of a job, which must have ended; an unknown job is not an error. INVALID_ARGUMENT if it is not a
  // UUID.
  absl::Status Remove(const std::string& job_uid);

  absl::StatusOr<Chunk> Read(const Stream& stream, std::int64_t offset) { return stream.Read(offset, cache_); }
  absl::StatusOr<std::int64_t> TailOffset(const Stream& stream, std::int64_t lines) {
    return stream.TailOffset(lines, cache_);
  }

  // Commits pending bytes and ends the committer. Idempotent.
  void Stop();

 private:
  struct Slot {
    std::shared_ptr<Stream> stream;
    std::uint64_t used = 0;
  };
  Store(StoreOptions options, UniqueFd lock, const Clock& clock, LogMetrics& metrics);
  absl::Status Failed() const;
  void Fail(const absl::Status& status);
  void MarkDirty(const std::shared_ptr<Stream>& stream, std::int64_t bytes);
  void EvictIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RunCommitter(std::stop_token stop);
  absl::Status CommitGroup(const absl::flat_hash_set<std::shared_ptr<Stream>>& group);
  absl::Status CommitPositions(const SourcePositions::Noted& positions);
  void LimitWriters(const std::shared_ptr<Stream>& newest);

  const StoreOptions given_;
  const UniqueFd lock_;  // of the directory
  const Clock& clock_;
  LogMetrics& metrics_;
  class MeasuredDisk;
  const std::unique_ptr<Disk> disk_;  // given_.disk, measured; a failed sync fails the store
  SegmentCache cache_;
  SourcePositions positions_;
  std::vector<std::function<void(const Stream&)>> listeners_;
  std::vector<std::function<void(const std::string&, std::int64_t)>> position_listeners_;

  Mutex mu_;
  absl::flat_hash_map<StreamId, Slot> streams_ ABSL_GUARDED_BY(mu_);
  std::uint64_t uses_ ABSL_GUARDED_BY(mu_) = 0;

  mutable Mutex dirty_mu_;
  std::condition_variable_any dirty_changed_;
  absl::flat_hash_set<std::shared_ptr<Stream>> dirty_ ABSL_GUARDED_BY(dirty_mu_);
  std::int64_t dirty_bytes_ ABSL_GUARDED_BY(dirty_mu_) = 0;
  bool positions_noted_ ABSL_GUARDED_BY(dirty_mu_) = false;
  absl::Status failed_ ABSL_GUARDED_BY(dirty_mu_);

  std::list<std::weak_ptr<Stream>> writers_;  // of the committer thread; newest first
  std::jthread committer_;                    // last: stops first
};

}  // namespace riseml::loghandler
