#include "services/loghandler/store/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/testing/store_fixture.h"

namespace riseml::loghandler {
namespace {

TEST_F(StoreTest, NothingIsCreatedForAStreamThatIsOnlyLookedAt) {
  Open();
  EXPECT_EQ(stream_->state().next_offset, 0);
  EXPECT_EQ(ReadAll(*store_, *stream_), "");
  EXPECT_FALSE(std::filesystem::exists(StreamDir()));
}

TEST_F(StoreTest, AnIdThatIsNoneIsRefused) {
  Open();
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Get({"../../etc", 1}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Get({id_.job_uid, 0}).status()));
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
    const absl::StatusOr<Chunk> chunk = store_->Read(*stream_, from);
    ASSERT_TRUE(chunk.ok());
    EXPECT_EQ(chunk->data, log.substr(from, chunk->data.size()));
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
    const StreamId id{NewUuid(), 1};
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

TEST_F(StoreTest, IdleStreamsAreForgottenBusyOnesAreNot) {
  options_.max_streams = 8;
  options_.max_writers = 4;
  Open();
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back({NewUuid(), 1});
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
  const StreamId other{NewUuid(), 1};
  ASSERT_TRUE(store_->Append(*store_->Get(other), ZstdBlock(0, "other\n")).ok());
  EXPECT_TRUE(store_->Remove(id_.job_uid).ok());
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(StreamDir()).parent_path()));
  stream_ = *store_->Get(id_);
  EXPECT_EQ(stream_->state().next_offset, 0) << "nothing is remembered";
  EXPECT_EQ((*store_->Get(other))->state().next_offset, 6) << "another job's";
  EXPECT_TRUE(store_->Remove(id_.job_uid).ok()) << "gone already";
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
        const absl::StatusOr<Chunk> chunk = store_->Read(*stream_, first);
        EXPECT_TRUE(chunk.ok());
        EXPECT_EQ(chunk->data, log.substr(first, chunk->data.size()));
      }
    });
  }
  threads.clear();
  WaitDurable();
  EXPECT_EQ(ReadAll(*store_, *stream_), log);
}

}  // namespace
}  // namespace riseml::loghandler
