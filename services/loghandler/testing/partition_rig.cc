// A partition of a message log in memory, and a source that reads it.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <thread>
#include <utility>
#include <vector>

#include "services/common/base/mutex.h"
#include "services/loghandler/testing/seeking_rig.h"

namespace riseml::loghandler {
namespace {

// Thread-safe.
class Partition {
 public:
  void Append(const internal::v1::LogRecord& record) {
    MutexLock lock(mu_);
    records_.push_back(record.SerializeAsString());
  }
  std::optional<internal::v1::LogRecord> Read(std::int64_t position) {
    MutexLock lock(mu_);
    if (position >= static_cast<std::int64_t>(records_.size())) return std::nullopt;
    internal::v1::LogRecord record;
    EXPECT_TRUE(record.ParseFromString(records_[position]));
    return record;
  }

 private:
  Mutex mu_;
  std::vector<std::string> records_ ABSL_GUARDED_BY(mu_);
};

bool MayPass(const absl::Status& status) {
  return !absl::IsInvalidArgument(status) && !absl::IsFailedPrecondition(status) && !absl::IsDataLoss(status);
}

class PartitionSource final : public LogSource {
 public:
  PartitionSource(Partition& partition, Store& store, IngestCore& core) : partition_(partition), core_(core) {
    core_.Connect(*this);
    const auto position = store.Position(name_);
    EXPECT_TRUE(position.ok()) << position.status();
    next_ = durable_ = position->value_or(0);
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

  const std::string& name() const override { return name_; }
  void GoBack(const StreamId& stream, std::int64_t expected_offset) override {
    Rewind& rewind = rewinds_[stream];
    if (rewind.expected_offset != expected_offset) rewind = {expected_offset, 0};
    // What failed lies after the durable position, what the store has lost anywhere; else nobody has the bytes.
    MutexLock lock(mu_);
    switch (rewind.tries++) {
      case 0:
        seek_ = durable_;
        break;
      case 1:
        seek_ = 0;
        break;
      default:
        break;
    }
  }
  void OnDurable(const Stream&) override {
    MutexLock lock(mu_);
    ++news_;
    changed_.notify_all();
  }
  void OnPosition(std::int64_t position) override {
    MutexLock lock(mu_);
    EXPECT_GT(position, durable_);
    durable_ = position;
  }
  std::int64_t durable() {
    MutexLock lock(mu_);
    return durable_;
  }

 private:
  struct Rewind {
    std::int64_t expected_offset = -1;
    int tries = 0;
  };

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::int64_t news = 0;
      {
        MutexLock lock(mu_);
        news = news_;
      }
      const auto record = partition_.Read(next_);
      if (!record.has_value()) {
        Pause(stop, news);
        continue;
      }
      const absl::StatusOr<Taken> taken = core_.Take(*this, *record, next_);
      if (!taken.ok() && MayPass(taken.status())) {
        Pause(stop, news);
      } else if (!taken.ok()) {
        core_.PassOver(*this, next_++);
      } else if (taken->action == IngestAction::kWait) {
        Pause(stop, news);
      } else if (taken->action == IngestAction::kGoBack) {
        SeekBack();
      } else {
        ++next_;
      }
    }
  }
  void SeekBack() {
    MutexLock lock(mu_);
    if (seek_.has_value()) {
      next_ = *std::exchange(seek_, std::nullopt);
    } else {
      core_.PassOver(*this, next_++);
    }
  }
  void Pause(const std::stop_token& stop, std::int64_t news) {
    MutexLock lock(mu_);
    changed_.wait_for(mu_, stop, std::chrono::milliseconds(2),
                      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return news_ != news; });
  }

  const std::string name_ = "logs-0";
  Partition& partition_;
  IngestCore& core_;
  std::int64_t next_ = 0;
  std::map<StreamId, Rewind> rewinds_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::int64_t durable_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t news_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<std::int64_t> seek_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;
};

class PartitionRig final : public SeekingRig {
 public:
  ~PartitionRig() override { Stop(); }

  void Start() override {
    OpenStore();
    source_ = std::make_unique<PartitionSource>(partition_, *store_, *core_);
  }
  void Stop() override {
    if (store_ == nullptr) return;
    store_->Stop();
    told_ = source_->durable();
    source_.reset();
    core_.reset();
    store_.reset();
  }

  void ExpectNoPromiseIsBroken(Store& store) override {
    const auto position = store.Position("logs-0");
    ASSERT_TRUE(position.ok());
    EXPECT_GE(position->value_or(0), told_);
    ExpectStoredBefore(position->value_or(0), store);
  }

 private:
  void Append(const internal::v1::LogRecord& record) override { partition_.Append(record); }

  Partition partition_;
  std::int64_t told_ = 0;
  std::unique_ptr<PartitionSource> source_;
};

}  // namespace

std::unique_ptr<SourceRig> MakePartitionRig() { return std::make_unique<PartitionRig>(); }

}  // namespace riseml::loghandler
