// Tests every kind of log source together with the ingest core and the store: one suite, run on each.
#include "services/loghandler/ingest/log_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/loghandler/testing/source_rig.h"

namespace riseml::loghandler {
namespace {

struct SourceKind {
  const char* name;
  std::unique_ptr<SourceRig> (*make)();
};

class LogSourceTest : public testing::TestWithParam<SourceKind> {
 protected:
  LogSourceTest() { NewRig(); }

  void NewRig() {
    rig_ = GetParam().make();
    rig_->options_.commit_delay = absl::ZeroDuration();
    rig_->options_.stream.segment_bytes = 2'000;
  }
  std::int64_t SizeOf(const StreamId& id) const { return static_cast<std::int64_t>(rig_->logs_.at(id).size()); }
  // Sends bytes [first, end) in pieces of any length, some of them overlapping what was sent.
  void SendPieces(const StreamId& id, std::int64_t first, std::int64_t end, std::int64_t longest) {
    for (std::int64_t at = first; at < end;) {
      const std::int64_t from =
          std::max<std::int64_t>(0, at - (random_() % 3 == 0 ? static_cast<std::int64_t>(random_() % longest) : 0));
      const std::int64_t length = std::min<std::int64_t>(1 + random_() % longest, end - from);
      rig_->Send(id, from, length);
      at = std::max(at, from + length);
    }
  }
  // Checks what lies on disk after the source has stopped.
  void ExpectAllStoredOnce() {
    const std::unique_ptr<Store> store = OpenStopped();
    for (const auto& [id, log] : rig_->logs_) {
      const auto stream = store->Get(id);
      ASSERT_TRUE(stream.ok()) << stream.status();
      EXPECT_TRUE((*stream)->state().complete);
      EXPECT_TRUE(ReadAll(*store, **stream) == log) << Print(id);
    }
    rig_->ExpectNoPromiseIsBroken(*store);
  }
  std::unique_ptr<Store> OpenStopped() {
    rig_->Stop();
    StoreOptions options;
    options.dir = rig_->data_dir();
    auto store = Store::Open(options, clock_, metrics_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  void CrashAtEachCall(bool lose_power);

  const SystemClock clock_;
  prometheus::Registry registry_;
  LogMetrics metrics_{registry_};
  std::mt19937 random_{17};
  std::unique_ptr<SourceRig> rig_;
};

TEST_P(LogSourceTest, RepeatsAreDroppedAndStraddlingBlocksTrimmed) {
  rig_->Start();
  const StreamId id = rig_->Add(RandomLog(random_, 100'000));
  SendPieces(id, 0, SizeOf(id), 3'000);
  rig_->Send(id, 0, 5'000);
  rig_->SendEnd(id);
  rig_->SendEnd(id);
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, OneSourceCarriesManyStreams) {
  rig_->Start();
  std::vector<StreamId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(rig_->Add(RandomLog(random_, i == 0 ? 0 : 1 + random_() % 10'000)));
  for (int round = 0; round < 10; ++round) {
    for (const StreamId& id : ids) SendPieces(id, SizeOf(id) * round / 10, SizeOf(id) * (round + 1) / 10, 1'000);
  }
  for (const StreamId& id : ids) rig_->SendEnd(id);
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, ABlockAheadOfWhatIsStoredMakesTheSourceGoBack) {
  rig_->Start();
  const StreamId id = rig_->Add(RandomLog(random_, 3'000));
  const StreamId other = rig_->Add(RandomLog(random_, 3'000));
  rig_->Send(id, 0, 1'000);
  rig_->Send(id, 2'000, 500);  // ahead
  rig_->Send(other, 0, 3'000);
  rig_->Send(id, 2'500, 500);
  rig_->SendEnd(other);
  rig_->Send(id, 1'000, 1'000);
  rig_->SendEnd(id);  // ahead of what was left out
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, ARestartGoesOnWhereThingsAreDurable) {
  rig_->Start();
  const StreamId id = rig_->Add(RandomLog(random_, 60'000));
  const StreamId other = rig_->Add(RandomLog(random_, 60'000));
  for (int round = 0; round < 6; ++round) {
    SendPieces(id, round * 10'000, (round + 1) * 10'000, 2'000);
    SendPieces(other, round * 10'000, (round + 1) * 10'000, 2'000);
    rig_->Stop();
    rig_->ExpectNoPromiseIsBroken(*OpenStopped());
    rig_->Start();
  }
  rig_->SendEnd(id);
  rig_->SendEnd(other);
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, WhatTheStoreHasLostComesAgain) {
  rig_->Start();
  const StreamId kept = rig_->Add(RandomLog(random_, 5'000));
  SendPieces(kept, 0, 5'000, 1'000);
  rig_->SendEnd(kept);
  ASSERT_TRUE(rig_->AwaitComplete());
  const StreamId id = rig_->Add(RandomLog(random_, 5'000));
  SendPieces(id, 0, 4'000, 1'000);
  rig_->AwaitDurable(id, 4'000);
  rig_->Stop();
  // As after a backup from before.
  std::filesystem::remove_all(absl::StrCat(rig_->data_dir(), "/logs/", id.job_uid));
  rig_->Start();
  SendPieces(id, 4'000, 5'000, 1'000);
  rig_->SendEnd(id);
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, AFullDiskOnlyDelays) {
  std::atomic<int> refused{0};
  rig_->disk_->on_write = [&](absl::string_view) { return refused++ < 20 ? ENOSPC : 0; };
  rig_->Start();
  const StreamId id = rig_->Add(RandomLog(random_, 10'000));
  const StreamId other = rig_->Add(RandomLog(random_, 10'000));
  SendPieces(id, 0, 10'000, 1'000);
  SendPieces(other, 0, 10'000, 1'000);
  rig_->SendEnd(id);
  rig_->SendEnd(other);
  ASSERT_TRUE(rig_->AwaitComplete());
  EXPECT_GE(refused, 20);
  ExpectAllStoredOnce();
}

TEST_P(LogSourceTest, ASourceWaitsForADiskThatIsFarBehind) {
  rig_->options_.stream.max_ahead = 1'000;
  rig_->Start();
  std::vector<StreamId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(rig_->Add(RandomLog(random_, 20'000)));
  for (const StreamId& id : ids) SendPieces(id, 0, 20'000, 700);
  for (const StreamId& id : ids) rig_->SendEnd(id);
  ASSERT_TRUE(rig_->AwaitComplete());
  ExpectAllStoredOnce();
}

// A crash at each single call to the disk: of the process, or of the machine with all that was not synced.
void LogSourceTest::CrashAtEachCall(bool lose_power) {
  int calls = 0;
  for (int n = 1; calls == 0; ++n) {
    SCOPED_TRACE(absl::StrCat("crash at call ", n));
    NewRig();
    rig_->options_.stream.segment_bytes = 900;
    rig_->Start();
    rig_->disk_->Settle(rig_->data_dir());
    rig_->disk_->CrashAt(n);
    const StreamId id = rig_->Add(RandomLog(random_, 2'000));
    const StreamId other = rig_->Add(RandomLog(random_, 300));
    for (std::int64_t at = 0; at < 2'000; at += 500) rig_->Send(id, at, 500);
    rig_->Send(other, 0, 300);
    rig_->SendEnd(other);
    rig_->SendEnd(id);
    if (rig_->AwaitComplete()) calls = n;  // the work needs fewer calls than n
    rig_->Stop();
    if (lose_power) rig_->disk_->LosePower(rig_->data_dir());
    {
      const std::unique_ptr<Store> store = OpenStopped();
      rig_->ExpectNoPromiseIsBroken(*store);
      for (const auto& [stream_id, log] : rig_->logs_) {
        const auto stream = store->Get(stream_id);
        ASSERT_TRUE(stream.ok()) << stream.status();
        EXPECT_TRUE(absl::StartsWith(log, ReadAll(*store, **stream)));
      }
    }
    if (HasFailure()) return;  // what has been skipped would be waited for
    rig_->disk_->CrashAt(0);
    rig_->Start();
    ASSERT_TRUE(rig_->AwaitComplete());
    ExpectAllStoredOnce();
    if (HasFailure()) return;
  }
  EXPECT_GT(calls, 20);
}

TEST_P(LogSourceTest, NothingIsLostOrDoubledWhenTheProcessCrashesAtAnyCall) { CrashAtEachCall(false); }

TEST_P(LogSourceTest, NothingIsLostOrDoubledWhenTheMachineCrashesAtAnyCall) { CrashAtEachCall(true); }

// The real broker has a program of its own, as librdkafka is not made for ThreadSanitizer.
#ifdef RISEML_KAFKA_SOURCE
const auto kKinds = testing::Values(SourceKind{"Kafka", MakeKafkaRig});
#else
const auto kKinds = testing::Values(SourceKind{"Call", MakeCallRig}, SourceKind{"Partition", MakePartitionRig});
#endif
INSTANTIATE_TEST_SUITE_P(Sources, LogSourceTest, kKinds, [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace riseml::loghandler
