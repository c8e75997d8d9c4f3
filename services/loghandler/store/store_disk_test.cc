// Tests Store on a disk that is slow, full, damaged or fails.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/testing/store_fixture.h"

namespace riseml::loghandler {
namespace {

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
  const std::shared_ptr<Stream> other = *store_->Get({NewUuid(), 1});
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

}  // namespace
}  // namespace riseml::loghandler
