// Fixture for tests of Store on a disk that tests can block and break.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/store/store.h"
#include "services/loghandler/testing/fake_disk.h"
#include "services/loghandler/testing/test_support.h"

namespace riseml::loghandler {

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    options_.dir = absl::StrCat(dir_.path(), "/data");
    options_.commit_delay = absl::ZeroDuration();
    disk_->on_sync = [this](int) {
      ++syncs_;
      return sync_error_.load();
    };
    options_.disk = disk_;
    options_.on_fatal = [this](const absl::Status& status) {
      MutexLock lock(mu_);
      fatal_ = status;
      changed_.notify_all();
    };
  }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options_, clock_, metrics_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    store_->AddListener([this](const Stream&) {
      MutexLock lock(mu_);
      changed_.notify_all();
    });
    stream_ = *store_->Get(id_);
  }

  // Waits for the disk as long as the stream wants it.
  IngestAction Put(const v1::LogBlock& block) {
    while (true) {
      const absl::StatusOr<AppendResult> result = store_->Append(stream_, block);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return IngestAction::kRefuse;
      if (result->action != IngestAction::kWait) return result->action;
      WaitDurable();
    }
  }

  template <class Predicate>
  void WaitUntil(Predicate predicate) {
    MutexLock lock(mu_);
    changed_.wait(mu_, [&] { return predicate(); });
  }
  void WaitDurable() {
    WaitUntil([this] {
      const StreamState state = stream_->state();
      return state.durable_offset == state.next_offset;
    });
  }
  void WaitComplete() {
    WaitUntil([this] { return stream_->state().complete; });
  }
  std::string StreamDir() const { return absl::StrCat(options_.dir, "/logs/", Print(id_)); }
  int Segments() const {
    int n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(StreamDir()))
      n += ParseSegmentName(entry.path().filename().string()).has_value() ? 1 : 0;
    return n;
  }

  TempDir dir_;
  const StreamId id_{NewUuid(), 1};
  const SystemClock clock_;
  prometheus::Registry registry_;
  LogMetrics metrics_{registry_};
  const std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  StoreOptions options_;
  std::atomic<int> syncs_{0};
  std::atomic<int> sync_error_{0};
  Mutex mu_;
  std::condition_variable_any changed_;
  absl::Status fatal_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace riseml::loghandler
