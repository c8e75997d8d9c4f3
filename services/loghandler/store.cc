#include "services/loghandler/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/block.h"

namespace riseml::loghandler {

int SyncData(int fd) {
  int result = 0;
  do {
    result = fdatasync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(StoreOptions options, const Clock& clock, LogMetrics& metrics) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(absl::StrCat(options.dir, "/logs"), 0700));
  RISEML_RETURN_IF_ERROR(CheckFormat(options.dir, "log store", kFormatVersion));
  const std::string lock_path = absl::StrCat(options.dir, "/LOCK");
  RISEML_ASSIGN_OR_RETURN(UniqueFd lock, OpenFile(lock_path, O_RDWR | O_CREAT, 0600));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(Reason::kUnavailable,
                 absl::StrCat("lock ", lock_path, ": another log handler uses this directory; stop it first"));
  return std::unique_ptr<Store>(new Store(std::move(options), std::move(lock), clock, metrics));
}

Store::Store(StoreOptions options, UniqueFd lock, const Clock& clock, LogMetrics& metrics)
    : given_(std::move(options)),
      lock_(std::move(lock)),
      clock_(clock),
      metrics_(metrics),
      stream_options_(given_.stream),
      cache_(given_.max_readers) {
  stream_options_.sync = [this](int fd) {
    const absl::Time start = clock_.Now();
    const int result = given_.stream.sync(fd);
    const int error = errno;
    metrics_.fsync_seconds.Observe(absl::ToDoubleSeconds(clock_.Now() - start));
    if (result != 0) Fail(ErrnoError(error, absl::StrCat("fsync below ", given_.dir)));
    errno = error;
    return result;
  };
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
      slot.stream = std::make_shared<Stream>(absl::StrCat(given_.dir, "/logs/", Print(id)), id, stream_options_);
    }
    stream = slot.stream;
    if (streams_.size() > given_.max_streams) EvictIdle();
  }
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("open log ", Print(id)), stream->Load()));
  return stream;
}

void Store::EvictIdle() {
  // Every stream but the newer half, unless somebody holds it: then it is in use, or has bytes that wait for the
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
  if (result.stored_bytes == 0) return result;
  const bool gap = block.coding() == v1::LogBlock::GAP;
  (gap ? metrics_.gap_bytes : metrics_.stored_bytes).Increment(static_cast<double>(result.stored_bytes));
  MarkDirty(stream, static_cast<std::int64_t>(block.data().size()));
  return result;
}

absl::StatusOr<AppendResult> Store::End(const std::shared_ptr<Stream>& stream, std::int64_t final_offset) {
  RISEML_RETURN_IF_ERROR(Failed());
  RISEML_ASSIGN_OR_RETURN(const AppendResult result, stream->End(final_offset));
  if (result.action == IngestAction::kStore) MarkDirty(stream, 0);
  return result;
}

absl::Status Store::Remove(const std::string& job_uid) {
  if (!IsUuid(job_uid)) return Error(Reason::kInvalidArgument, absl::StrCat("'", job_uid, "' is not a job's UUID"));
  {
    MutexLock lock(mu_);
    for (auto it = streams_.begin(); it != streams_.end();) {
      if (it->first.job.value == job_uid)
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

void Store::MarkDirty(const std::shared_ptr<Stream>& stream, std::int64_t bytes) {
  {
    MutexLock lock(dirty_mu_);
    dirty_.insert(stream);
    dirty_bytes_ += bytes;
  }
  dirty_changed_.notify_one();
}

void Store::RunCommitter(std::stop_token stop) {
  while (true) {
    absl::flat_hash_set<std::shared_ptr<Stream>> group;
    {
      MutexLock lock(dirty_mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(dirty_mu_) { return !dirty_.empty(); };
      if (!dirty_changed_.wait(dirty_mu_, stop, some)) return;
      const auto many = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(dirty_mu_) { return dirty_bytes_ >= given_.commit_bytes; };
      dirty_changed_.wait_for(dirty_mu_, stop, absl::ToChronoMicroseconds(given_.commit_delay), many);
      if (!failed_.ok()) return;
      group = std::exchange(dirty_, {});
      dirty_bytes_ = 0;
    }
    CommitGroup(group);
  }
}

void Store::CommitGroup(const absl::flat_hash_set<std::shared_ptr<Stream>>& group) {
  for (const std::shared_ptr<Stream>& stream : group) {
    if (const absl::Status status = stream->Commit(clock_.Now()); !status.ok()) return Fail(status);
    LimitWriters(stream);
    for (const auto& listener : listeners_) listener(*stream);
  }
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
