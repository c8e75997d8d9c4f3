#include "services/loghandler/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/fake_disk.h"
#include "services/loghandler/test_support.h"

namespace riseml::loghandler {
namespace {

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
  const StreamId id_{JobId{NewUuid()}, 1};
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

TEST_F(StoreTest, NothingIsCreatedForAStreamThatIsOnlyLookedAt) {
  Open();
  EXPECT_EQ(stream_->state().next_offset, 0);
  EXPECT_EQ(ReadAll(*store_, *stream_), "");
  EXPECT_FALSE(std::filesystem::exists(StreamDir()));
}

TEST_F(StoreTest, AnIdThatIsNoneIsRefused) {
  Open();
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Get({JobId{"../../etc"}, 1}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Get({id_.job, 0}).status()));
}

TEST_F(StoreTest, WhatIsStoredIsReadBackAcrossRestarts) {
  Open();
  Put(ZstdBlock(0, "hello\n"));
  Put(PlainBlock(6, "world\n"));
  Put(GapBlock(12, 5));
  Put(PlainBlock(17, "end"));
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), "hello\nworld\n#####end");
  EXPECT_EQ(ReadAll(*store_, *stream_, 3), "lo\nworld\n#####end");
  EXPECT_EQ(ReadAll(*store_, *stream_, 14), "###end");
  Open();
  EXPECT_EQ(ReadAll(*store_, *stream_), "hello\nworld\n#####end");
  EXPECT_EQ(Put(PlainBlock(20, "!")), IngestAction::kStore);
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_, 17), "end!");
}

TEST_F(StoreTest, RandomBlocksInAnyOrderGiveTheLogExactly) {
  options_.stream.segment_bytes = 20'000;
  std::mt19937 random(3);
  const std::string log = RandomLog(random, 300'000);
  Open();
  std::int64_t next = 0;
  for (int i = 0; next < static_cast<std::int64_t>(log.size()); ++i) {
    std::int64_t first = next + static_cast<std::int64_t>(random() % 6000) - 4000;
    first = std::clamp<std::int64_t>(first, 0, log.size() - 1);
    const auto length = std::min<std::int64_t>(1 + random() % 5000, log.size() - first);
    const absl::string_view bytes = absl::string_view(log).substr(first, length);
    Put(random() % 2 == 0 ? ZstdBlock(first, bytes) : PlainBlock(first, bytes));
    next = stream_->state().next_offset;
    if (i % 100 == 99) Open();
  }
  store_->End(stream_, log.size()).status().IgnoreError();
  WaitComplete();
  EXPECT_GT(Segments(), 3);
  EXPECT_EQ(ReadAll(*store_, *stream_), log);
  for (int i = 0; i < 200; ++i) {
    const std::int64_t from = random() % log.size();
    const absl::StatusOr<Piece> piece = store_->Read(*stream_, from);
    ASSERT_TRUE(piece.ok());
    EXPECT_EQ(piece->data, log.substr(from, piece->data.size()));
  }
  Open();
  EXPECT_TRUE(stream_->state().complete);
  EXPECT_EQ(ReadAll(*store_, *stream_), log);
}

TEST_F(StoreTest, TheEndIsStoredOnceAndOnlyAtTheEnd) {
  Open();
  Put(PlainBlock(0, "abc"));
  EXPECT_EQ(store_->End(stream_, 4)->action, IngestAction::kGoBack);
  EXPECT_EQ(store_->End(stream_, 2).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store_->End(stream_, 3)->action, IngestAction::kStore);
  WaitComplete();
  EXPECT_EQ(store_->End(stream_, 3)->action, IngestAction::kDuplicate);
  EXPECT_EQ(Put(PlainBlock(0, "abc")), IngestAction::kDuplicate);
  EXPECT_EQ(store_->Append(stream_, PlainBlock(3, "d")).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, AnEmptyLogCanBeComplete) {
  Open();
  EXPECT_EQ(store_->End(stream_, 0)->action, IngestAction::kStore);
  WaitComplete();
  Open();
  EXPECT_TRUE(stream_->state().complete);
  EXPECT_EQ(ReadAll(*store_, *stream_), "");
}

TEST_F(StoreTest, TailFindsTheLastLinesWithoutReadingTheRest) {
  options_.stream.segment_bytes = 4'000;
  std::mt19937 random(11);
  for (const bool finished : {false, true}) {
    const StreamId id{JobId{NewUuid()}, 1};
    Open();
    stream_ = *store_->Get(id);
    std::string log = RandomLog(random, 60'000);
    log.back() = finished ? '\n' : 'x';
    for (std::size_t at = 0; at < log.size();) {
      const std::size_t length = std::min<std::size_t>(1 + random() % 900, log.size() - at);
      Put(PlainBlock(at, log.substr(at, length)));
      at += length;
    }
    WaitDurable();
    std::vector<std::int64_t> starts{0};
    for (std::size_t i = 0; i + 1 < log.size(); ++i) {
      if (log[i] == '\n') starts.push_back(i + 1);
    }
    for (std::size_t lines = 1; lines <= starts.size() + 2; ++lines) {
      const std::int64_t expected = lines > starts.size() ? 0 : starts[starts.size() - lines];
      ASSERT_EQ(*store_->TailOffset(*stream_, lines), expected) << lines;
    }
    EXPECT_EQ(*store_->TailOffset(*stream_, 0), static_cast<std::int64_t>(log.size()));
    // Damage in what a short tail does not need does not matter.
    const std::string first = absl::StrCat(options_.dir, "/logs/", Print(id), "/", SegmentName(0));
    std::ofstream(first, std::ios::trunc) << "rubbish";
    EXPECT_EQ(*store_->TailOffset(*stream_, 5), starts[starts.size() - 5]);
  }
}

TEST_F(StoreTest, DamageInTheMiddleIsToldNotHidden) {
  options_.stream.segment_bytes = 1'000;
  Open();
  for (int i = 0; i < 10; ++i) Put(PlainBlock(i * 600, std::string(600, static_cast<char>('a' + i))));
  WaitDurable();
  const std::string path = absl::StrCat(StreamDir(), "/", SegmentName(1200));
  ASSERT_TRUE(FileExists(path));
  std::string bytes = *ReadFile(path, 1 << 20);
  bytes[kHeaderSize + 100] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  EXPECT_TRUE(absl::IsDataLoss(store_->Read(*stream_, 1200).status()));
  EXPECT_EQ(store_->Read(*stream_, 0)->data.substr(0, 600), std::string(600, 'a'));
  EXPECT_EQ(ReadAll(*store_, *stream_, 2400).size(), 6000u - 2400u);
  EXPECT_EQ(Put(PlainBlock(6000, "goes on")), IngestAction::kStore);
}

TEST_F(StoreTest, AFileThatACrashLeftEmptyIsReplaced) {
  Open();
  Put(PlainBlock(0, "abc"));
  WaitDurable();
  store_.reset();
  std::ofstream(absl::StrCat(StreamDir(), "/", SegmentName(3))).flush();
  Open();
  EXPECT_EQ(stream_->state().next_offset, 3);
  Put(PlainBlock(3, "def"));
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), "abcdef");
}

TEST_F(StoreTest, BytesAreShownOnlyOnceTheyAreDurable) {
  std::atomic<bool> hold{true};
  std::atomic<bool> held{false};
  disk_->on_sync = [&](int) {
    while (hold) held = true;
    return 0;
  };
  Open();
  Put(PlainBlock(0, "abc"));
  while (!held) std::this_thread::yield();
  EXPECT_EQ(stream_->state().next_offset, 3);
  EXPECT_EQ(stream_->state().durable_offset, 0);
  EXPECT_EQ(ReadAll(*store_, *stream_), "");
  hold = false;
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), "abc");
}

TEST_F(StoreTest, ASlowDiskHoldsUpNeitherReadersNorThoseWhoAppend) {
  options_.stream.segment_bytes = 1'000;
  Open();
  Put(PlainBlock(0, "durable "));
  WaitDurable();
  std::atomic<bool> hold{true};
  std::atomic<bool> held{false};
  disk_->on_sync = [&](int) {
    held = true;
    while (hold) std::this_thread::yield();
    return 0;
  };
  Put(PlainBlock(8, std::string(2'000, 'a')));
  while (!held) std::this_thread::yield();
  // A full segment is not left before it is durable, and nobody waits for that.
  EXPECT_EQ(store_->Append(stream_, PlainBlock(2'008, "b"))->action, IngestAction::kWait);
  EXPECT_EQ(ReadAll(*store_, *stream_), "durable ");
  const std::shared_ptr<Stream> other = *store_->Get({JobId{NewUuid()}, 1});
  EXPECT_EQ(store_->Append(other, PlainBlock(0, "other"))->action, IngestAction::kStore);
  EXPECT_EQ(store_->End(other, 5)->action, IngestAction::kStore);
  EXPECT_EQ(other->state().durable_offset, 0);
  hold = false;
  EXPECT_EQ(Put(PlainBlock(2'008, "b")), IngestAction::kStore);
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), "durable " + std::string(2'000, 'a') + "b");
  WaitUntil([&] { return other->state().complete; });
}

TEST_F(StoreTest, ABlockIsOnDiskAsItCame) {
  Open();
  const v1::LogBlock block = ZstdBlock(0, "some text that is compressed");
  Put(block);
  WaitDurable();
  const std::string bytes = *ReadFile(absl::StrCat(StreamDir(), "/", SegmentName(0)), 1 << 20);
  EXPECT_NE(bytes.find(block.SerializeAsString()), std::string::npos);
}

TEST_F(StoreTest, APositionIsKeptAcrossRestartsAndDoesNotGoBack) {
  Open();
  EXPECT_EQ(*store_->Position("logs-0"), std::nullopt);
  std::atomic<std::int64_t> told{0};
  store_->AddPositionListener([&](const std::string& source, std::int64_t position) {
    EXPECT_EQ(source, "logs-0");
    MutexLock lock(mu_);
    told = position;
    changed_.notify_all();
  });
  store_->NotePosition("logs-0", 7);
  WaitUntil([&] { return told == 7; });
  store_->NotePosition("logs-0", 5);
  store_->NotePosition("logs-0", 8);
  WaitUntil([&] { return told == 8; });
  Open();
  EXPECT_EQ(*store_->Position("logs-0"), 8);
  EXPECT_EQ(*store_->Position("logs-1"), std::nullopt);
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Position("../logs").status()));
  // One that cannot be read is none: its records come again from the oldest on.
  std::ofstream(options_.dir + "/sources/logs-0.pb") << "rubbish";
  EXPECT_EQ(*store_->Position("logs-0"), std::nullopt);
}

TEST_F(StoreTest, AFailedSyncStopsEverythingAndIsNotTriedAgain) {
  Open();
  sync_error_ = EIO;
  Put(PlainBlock(0, "abc"));
  WaitUntil([this] { return !fatal_.ok(); });
  const int syncs = syncs_;
  EXPECT_FALSE(store_->Append(stream_, PlainBlock(3, "def")).ok());
  EXPECT_FALSE(store_->End(stream_, 3).ok());
  EXPECT_EQ(stream_->state().durable_offset, 0);
  store_.reset();
  EXPECT_EQ(syncs_, syncs);
}

TEST_F(StoreTest, AFullDiskIsToldAndRecoversWhenSpaceReturns) {
  Open();
  Put(PlainBlock(0, std::string(3000, 'a')));
  WaitDurable();
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status full = store_->Append(stream_, PlainBlock(3000, std::string(3000, 'b'))).status();
  const absl::Status again = store_->Append(stream_, PlainBlock(3000, std::string(3000, 'b'))).status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(HasReason(full, Reason::kDiskFull)) << full;
  EXPECT_TRUE(HasReason(again, Reason::kDiskFull)) << again;
  EXPECT_EQ(stream_->state().next_offset, 3000);
  Put(PlainBlock(3000, std::string(3000, 'c')));
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), std::string(3000, 'a') + std::string(3000, 'c'));
  Open();
  EXPECT_EQ(ReadAll(*store_, *stream_), std::string(3000, 'a') + std::string(3000, 'c'));
}

TEST_F(StoreTest, IdleStreamsAreForgottenBusyOnesAreNot) {
  options_.max_streams = 8;
  options_.max_writers = 4;
  Open();
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back({JobId{NewUuid()}, 1});
    const std::shared_ptr<Stream> stream = *store_->Get(ids.back());
    ASSERT_TRUE(store_->Append(stream, PlainBlock(0, absl::StrCat("log ", i))).ok());
  }
  for (int i = 0; i < 100; ++i) {
    stream_ = *store_->Get(ids[i]);
    WaitDurable();
    EXPECT_EQ(ReadAll(*store_, *stream_), absl::StrCat("log ", i));
    Put(PlainBlock(stream_->state().next_offset, "!"));
  }
  Open();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ReadAll(*store_, **store_->Get(ids[i])), absl::StrCat("log ", i, "!"));
}

TEST_F(StoreTest, RemovesTheLogsOfOneJob) {
  Open();
  Put(ZstdBlock(0, "hello\n"));
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), "hello\n");
  const StreamId other{JobId{NewUuid()}, 1};
  ASSERT_TRUE(store_->Append(*store_->Get(other), ZstdBlock(0, "other\n")).ok());
  EXPECT_TRUE(store_->Remove(id_.job.value).ok());
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(StreamDir()).parent_path()));
  stream_ = *store_->Get(id_);
  EXPECT_EQ(stream_->state().next_offset, 0) << "nothing is remembered";
  EXPECT_EQ((*store_->Get(other))->state().next_offset, 6) << "another job's";
  EXPECT_TRUE(store_->Remove(id_.job.value).ok()) << "gone already";
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Remove("../data")));
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Remove("")));
}

TEST_F(StoreTest, TwoStoresDoNotShareADirectory) {
  Open();
  EXPECT_TRUE(absl::IsUnavailable(Store::Open(options_, clock_, metrics_).status()));
}

TEST_F(StoreTest, ANewerFormatIsRefused) {
  std::filesystem::create_directories(options_.dir);
  std::ofstream(options_.dir + "/FORMAT") << "99\n";
  EXPECT_TRUE(HasReason(Store::Open(options_, clock_, metrics_).status(), Reason::kNewerFormat));
}

TEST_F(StoreTest, ManyWritersOfOneStreamStoreItOnce) {
  std::mt19937 random(5);
  const std::string log = RandomLog(random, 200'000);
  Open();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 mine(t);
      while (stream_->state().next_offset < static_cast<std::int64_t>(log.size())) {
        const std::int64_t first =
            std::max<std::int64_t>(0, stream_->state().next_offset - static_cast<std::int64_t>(mine() % 500));
        const auto length = std::min<std::int64_t>(1 + mine() % 3000, log.size() - first);
        EXPECT_TRUE(store_->Append(stream_, ZstdBlock(first, log.substr(first, length))).ok());
        const absl::StatusOr<Piece> piece = store_->Read(*stream_, first);
        EXPECT_TRUE(piece.ok());
        EXPECT_EQ(piece->data, log.substr(first, piece->data.size()));
      }
    });
  }
  threads.clear();
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), log);
}

}  // namespace
}  // namespace riseml::loghandler
