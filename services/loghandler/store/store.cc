#include "services/loghandler/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/store/block.h"

namespace riseml::loghandler {

namespace {

bool IsSettled(const Stream& stream) {
  const StreamState state = stream.state();
  return state.durable_offset == state.next_offset;
}

}  // namespace

// Measures syncs, and reports the first one that fails.
class Store::MeasuredDisk final : public Disk {
 public:
  explicit MeasuredDisk(Store& store) : store_(store) {}
  int Write(int fd, std::int64_t position, absl::string_view bytes) override {
    return store_.given_.disk->Write(fd, position, bytes);
  }
  int Sync(int fd) override {
    const absl::Time start = store_.clock_.Now();
    const int error = store_.given_.disk->Sync(fd);
    store_.metrics_.fsync_seconds.Observe(absl::ToDoubleSeconds(store_.clock_.Now() - start));
    if (error != 0) store_.Fail(ErrnoError(error, absl::StrCat("fsync below ", store_.given_.dir)));
    return error;
  }
  absl::Status SyncDirectory(const std::string& path) override { return store_.given_.disk->SyncDirectory(path); }
  absl::Status Replace(const std::string& path, absl::string_view bytes) override {
    return store_.given_.disk->Replace(path, bytes);
  }

 private:
  Store& store_;
};

absl::StatusOr<std::unique_ptr<Store>> Store::Open(StoreOptions options, const Clock& clock, LogMetrics& metrics) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(absl::StrCat(options.dir, "/logs"), 0700));
  RISEML_RETURN_IF_ERROR(CheckFormat(options.dir, "log store", kFormatVersion));
  const std::string lock_path = absl::StrCat(options.dir, "/LOCK");
  RISEML_ASSIGN_OR_RETURN(UniqueFd lock, OpenFile(lock_path, O_RDWR | O_CREAT, 0600));
  if (flock(lock.get(), (options.stream.shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
    return Error(Reason::kUnavailable,
                 absl::StrCat("lock ", lock_path, ": another log handler uses this directory; stop it first"));
  return std::unique_ptr<Store>(new Store(std::move(options), std::move(lock), clock, metrics));
}

Store::Store(StoreOptions options, UniqueFd lock, const Clock& clock, LogMetrics& metrics)
    : given_(std::move(options)),
      lock_(std::move(lock)),
      clock_(clock),
      metrics_(metrics),
      disk_(std::make_unique<MeasuredDisk>(*this)),
      cache_(given_.max_readers),
      positions_(absl::StrCat(given_.dir, "/sources"), *disk_) {
  committer_ = std::jthread([this](std::stop_token stop) { RunCommitter(std::move(stop)); });
}

void Store::Stop() {
  committer_.request_stop();
  if (committer_.joinable()) committer_.join();
}

absl::Status Store::Failed() const {
  MutexLock lock(dirty_mu_);
  return failed_;
}

void Store::Fail(const absl::Status& status) {
  {
    MutexLock lock(dirty_mu_);
    if (!failed_.ok()) return;
    failed_ = status;
  }
  LogError("log_store_failed", {{"error", status.message()}});
  if (given_.on_fatal) given_.on_fatal(status);
}

absl::StatusOr<std::shared_ptr<Stream>> Store::Get(const StreamId& id) {
  if (!IsValid(id)) return Error(Reason::kInvalidArgument, "a log stream needs a job UUID and an attempt of 1 or more");
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mu_);
    Slot& slot = streams_[id];
    slot.used = ++uses_;
    if (slot.stream == nullptr) {
      slot.stream = std::make_shared<Stream>(absl::StrCat(given_.dir, "/logs/", Print(id)), id, given_.stream, *disk_);
    }
    stream = slot.stream;
    if (streams_.size() > given_.max_streams) EvictIdle();
  }
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("open log ", Print(id)), stream->Load()));
  return stream;
}

void Store::EvictIdle() {
  // Drops the older half of the streams, except those that somebody holds: they are in use, or have bytes for the
  // committer.
  const std::uint64_t keep_from = uses_ - std::min<std::uint64_t>(uses_, given_.max_streams / 2);
  for (auto it = streams_.begin(); it != streams_.end();) {
    if (it->second.used <= keep_from && it->second.stream.use_count() == 1) {
      streams_.erase(it++);
    } else {
      ++it;
    }
  }
}

absl::StatusOr<AppendResult> Store::Append(const std::shared_ptr<Stream>& stream, const v1::LogBlock& block) {
  RISEML_RETURN_IF_ERROR(Failed());
  RISEML_RETURN_IF_ERROR(CheckBlock(block));
  RISEML_ASSIGN_OR_RETURN(const AppendResult result, stream->Append(block));
  metrics_.duplicate_bytes.Increment(static_cast<double>(result.trimmed_bytes));
  // Another source may have appended these bytes just now: a position noted after this call must wait for them.
  if (result.action == IngestAction::kDuplicate && !IsSettled(*stream)) MarkDirty(stream, 0);
  if (result.stored_bytes == 0) return result;
  const bool gap = block.coding() == v1::LogBlock::GAP;
  (gap ? metrics_.gap_bytes : metrics_.stored_bytes).Increment(static_cast<double>(result.stored_bytes));
  MarkDirty(stream, static_cast<std::int64_t>(block.data().size()));
  return result;
}

absl::StatusOr<AppendResult> Store::End(const std::shared_ptr<Stream>& stream, std::int64_t final_offset) {
  RISEML_RETURN_IF_ERROR(Failed());
  RISEML_ASSIGN_OR_RETURN(const AppendResult result, stream->End(final_offset));
  const bool repeated = result.action == IngestAction::kDuplicate && !stream->state().complete;
  if (result.action == IngestAction::kStore || repeated) MarkDirty(stream, 0);
  return result;
}

absl::Status Store::Remove(const std::string& job_uid) {
  if (!IsUuid(job_uid)) return Error(Reason::kInvalidArgument, absl::StrCat("'", job_uid, "' is not a job's UUID"));
  {
    MutexLock lock(mu_);
    for (auto it = streams_.begin(); it != streams_.end();) {
      if (it->first.job_uid == job_uid)
        streams_.erase(it++);
      else
        ++it;
    }
  }
  const std::string directory = absl::StrCat(given_.dir, "/logs/", job_uid);
  RISEML_RETURN_IF_ERROR(RemoveTree(directory));
  cache_.Forget(directory);
  return absl::OkStatus();
}

void Store::Release(const std::function<bool(const StreamId&)>& gone) {
  std::vector<std::shared_ptr<Stream>> released;
  {
    MutexLock lock(mu_);
    for (auto it = streams_.begin(); it != streams_.end();) {
      if (gone(it->first)) {
        released.push_back(std::move(it->second.stream));
        streams_.erase(it++);
      } else {
        ++it;
      }
    }
  }
  for (const std::shared_ptr<Stream>& stream : released) {
    stream->Release();
    cache_.Forget(absl::StrCat(given_.dir, "/logs/", Print(stream->id())));
  }
}

void Store::MarkDirty(const std::shared_ptr<Stream>& stream, std::int64_t bytes) {
  {
    MutexLock lock(dirty_mu_);
    dirty_.insert(stream);
    dirty_bytes_ += bytes;
  }
  dirty_changed_.notify_one();
}

void Store::NotePosition(const std::string& source, std::int64_t next, std::uint32_t last_crc) {
  positions_.Note(source, next, last_crc);
  {
    MutexLock lock(dirty_mu_);
    positions_noted_ = true;
  }
  dirty_changed_.notify_one();
}

void Store::RunCommitter(std::stop_token stop) {
  absl::Time next_commit = absl::InfinitePast();
  while (true) {
    absl::flat_hash_set<std::shared_ptr<Stream>> group;
    SourcePositions::Noted positions;
    {
      MutexLock lock(dirty_mu_);
      const auto some = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(dirty_mu_) { return !dirty_.empty() || positions_noted_; };
      if (!dirty_changed_.wait(dirty_mu_, stop, some)) return;
      const auto many = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(dirty_mu_) { return dirty_bytes_ >= given_.commit_bytes; };
      const absl::Duration wait = std::clamp(next_commit - clock_.Now(), absl::ZeroDuration(), given_.commit_delay);
      dirty_changed_.wait_for(dirty_mu_, stop, absl::ToChronoMicroseconds(wait), many);
      if (!failed_.ok()) return;
      // Takes positions first: bytes appended between the two takes belong to a later position.
      positions_noted_ = false;
      positions = positions_.Take();
      group = std::exchange(dirty_, {});
      dirty_bytes_ = 0;
    }
    absl::Status status = CommitGroup(group);
    if (status.ok()) status = CommitPositions(positions);
    if (!status.ok()) Fail(status);
    next_commit = clock_.Now() + given_.commit_delay;
  }
}

absl::Status Store::CommitGroup(const absl::flat_hash_set<std::shared_ptr<Stream>>& group) {
  for (const std::shared_ptr<Stream>& stream : group) {
    RISEML_RETURN_IF_ERROR(stream->Commit(clock_.Now()));
    LimitWriters(stream);
    for (const auto& listener : listeners_) listener(*stream);
  }
  return absl::OkStatus();
}

absl::Status Store::CommitPositions(const SourcePositions::Noted& positions) {
  const absl::Status written = positions_.Write(positions);
  if (HasReason(written, Reason::kDiskFull)) {
    // The older position on disk is harmless, and the next group writes a newer one.
    LogWarning("log_position_not_written", {{"error", written.message()}});
    return absl::OkStatus();
  }
  RISEML_RETURN_IF_ERROR(written);
  for (const auto& position : positions) {
    for (const auto& listener : position_listeners_) listener(position.source, position.next);
  }
  return absl::OkStatus();
}

void Store::LimitWriters(const std::shared_ptr<Stream>& newest) {
  const auto same = [&](const std::weak_ptr<Stream>& w) { return w.expired() || w.lock() == newest; };
  const auto it = std::find_if(writers_.begin(), writers_.end(), same);
  if (it != writers_.end()) writers_.erase(it);
  writers_.push_front(newest);
  if (writers_.size() <= given_.max_writers) return;
  if (const std::shared_ptr<Stream> oldest = writers_.back().lock(); oldest != nullptr) oldest->CloseIfClean();
  writers_.pop_back();
}

}  // namespace riseml::loghandler
