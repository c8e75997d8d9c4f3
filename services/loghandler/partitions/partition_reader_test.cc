// PartitionReader on a partition in memory: missing bytes, records that cannot be stored, passes. Claims on a
// directory.
#include "services/loghandler/partitions/partition_reader.h"

#include <gtest/gtest.h>

#include <thread>

#include "services/loghandler/partitions/partition_claims.h"
#include "services/loghandler/testing/source_rig.h"
#include "services/loghandler/testing/store_fixture.h"

namespace riseml::loghandler {
namespace {

class PartitionReaderTest : public StoreTest {
 protected:
  void SetUp() override {
    Open();
    core_ = std::make_unique<IngestCore>(*store_, metrics_);
    NewReader(0);
  }
  void TearDown() override {
    reader_.reset();
    store_->Stop();
  }
  void NewReader(std::int64_t position) {
    reader_.reset();
    reader_ = std::make_unique<PartitionReader>(
        "topic-0.1", position, *core_,
        [this](std::int64_t at, absl::string_view, const absl::Status& why) { dead_[at] = why; }, metrics_,
        reader_options_);
  }
  void Add(const v1::LogBlock& block) {
    internal::v1::LogRecord record = EmptyRecord(id_);
    *record.mutable_block() = block;
    records_.push_back(record.SerializeAsString());
  }
  void AddEnd(std::int64_t final_offset) {
    internal::v1::LogRecord record = EmptyRecord(id_);
    record.mutable_end()->set_final_offset(final_offset);
    records_.push_back(record.SerializeAsString());
  }
  // Reads everything there is, with all passes that are wanted now.
  void ReadAllRecords() {
    while (true) {
      if (const auto from = reader_->WantedPass(now_); from.has_value()) {
        ++passes_;
        reader_->BeginPass(*from == PartitionReader::kOldest ? oldest_ : *from);
      }
      if (reader_->next() >= static_cast<std::int64_t>(records_.size())) {
        if (!reader_->WantedPass(now_).has_value()) return;
        continue;
      }
      if (reader_->Take(records_[reader_->next()], now_) != PartitionReader::Step::kNext) std::this_thread::yield();
    }
  }
  std::string Stored() {
    WaitDurable();
    return ReadAll(*store_, **store_->Get(id_));
  }

  PartitionReaderOptions reader_options_{.search_delay = absl::ZeroDuration(), .patience = absl::Seconds(5)};
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::unique_ptr<IngestCore> core_;
  std::unique_ptr<PartitionReader> reader_;
  std::vector<std::string> records_;
  std::int64_t oldest_ = 0;
  int passes_ = 0;
  std::map<std::int64_t, absl::Status> dead_;
};

TEST_F(PartitionReaderTest, MissingBytesBecomeAGapOfExactlyTheirPlaceOnceTheyCannotCome) {
  Add(PlainBlock(0, "abc"));
  Add(PlainBlock(10, "klm"));
  Add(PlainBlock(13, "nop"));
  AddEnd(16);
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abc") << "they may still come";
  EXPECT_EQ(metrics_.lost_bytes.Value(), 0);
  now_ += absl::Seconds(6);
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abc#######klmnop");
  WaitComplete();
  EXPECT_EQ(metrics_.lost_bytes.Value(), 7);
  while (reader_->durable_position() < 4) std::this_thread::yield();
}

TEST_F(PartitionReaderTest, BytesThatComeLaterCloseTheHole) {
  Add(PlainBlock(0, "abc"));
  Add(PlainBlock(6, "ghi"));
  Add(PlainBlock(9, "jkl"));
  ReadAllRecords();
  Add(PlainBlock(3, "def"));
  AddEnd(12);
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abcdefghijkl");
  EXPECT_EQ(metrics_.lost_bytes.Value(), 0);
}

TEST_F(PartitionReaderTest, APositionDoesNotPassAParkedRecord) {
  Add(PlainBlock(0, "abc"));
  Add(PlainBlock(6, "ghi"));
  for (int i = 0; i < 20; ++i) Add(PlainBlock(0, "abc"));
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abc");
  while (reader_->durable_position() < 1) std::this_thread::yield();
  EXPECT_EQ(reader_->durable_position(), 1);
}

TEST_F(PartitionReaderTest, WhatWasRemovedIsNotBroughtBackByASearch) {
  const StreamId other{NewUuid(), 1};
  internal::v1::LogRecord record = EmptyRecord(other);
  *record.mutable_block() = PlainBlock(0, "removed");
  records_.push_back(record.SerializeAsString());
  Add(PlainBlock(0, "abc"));
  ReadAllRecords();
  WaitDurable();
  ASSERT_TRUE(store_->Remove(other.job_uid).ok());
  Add(PlainBlock(6, "ghi"));
  ReadAllRecords();
  EXPECT_GE(passes_, 1);
  EXPECT_EQ((*store_->Get(other))->state().next_offset, 0);
}

TEST_F(PartitionReaderTest, ARecordThatCannotBeStoredIsADeadLetterAndHoldsUpNobody) {
  Add(PlainBlock(0, "abc"));
  records_.emplace_back("\xff\xff not a record");
  v1::LogBlock damaged = ZstdBlock(3, "def");
  damaged.set_crc(damaged.crc() + 1);
  Add(damaged);
  records_.push_back(EmptyRecord(id_).SerializeAsString());
  Add(PlainBlock(3, "def"));
  AddEnd(6);
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abcdef");
  EXPECT_EQ(dead_.size(), 3u);
  EXPECT_EQ(metrics_.dead_letters.Value(), 3);
  while (reader_->durable_position() < 6) std::this_thread::yield();
}

TEST_F(PartitionReaderTest, ReadingAgainAfterARestartStoresNothingTwice) {
  Add(PlainBlock(0, "abc"));
  Add(PlainBlock(3, "def"));
  ReadAllRecords();
  WaitDurable();
  NewReader(0);
  Add(PlainBlock(6, "ghi"));
  ReadAllRecords();
  EXPECT_EQ(Stored(), "abcdefghi");
}

class PartitionClaimsTest : public testing::Test {
 protected:
  internal::v1::PartitionClaim Of(const std::string& instance) {
    internal::v1::PartitionClaim claim;
    claim.set_instance(instance);
    claim.set_address(instance + ":1");
    return claim;
  }
  void Write(const std::string& source, std::int64_t position) {
    internal::v1::LogSourcePosition written;
    written.set_next_position(position);
    ASSERT_TRUE(
        WriteFileAtomically(absl::StrCat(dir_.path(), "/sources/", source, ".pb"), written.SerializeAsString()).ok());
  }
  TempDir dir_;
  PartitionClaims claims_{dir_.path(), "topic"};
};

TEST_F(PartitionClaimsTest, EachClaimGoesOnAtThePositionOfTheOneBefore) {
  const auto first = claims_.Claim(3, Of("a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->position, 0);
  Write(first->source, 17);
  const auto second = claims_.Claim(3, Of("b"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->position, 17);
  EXPECT_GT(second->generation, first->generation);
  EXPECT_EQ((*claims_.Owners())[3].claim.instance(), "b");
}

TEST_F(PartitionClaimsTest, WhatAnEarlierOwnerStillWritesIsWithoutEffect) {
  const auto first = claims_.Claim(3, Of("a"));
  Write(first->source, 17);
  const auto second = claims_.Claim(3, Of("b"));
  Write(first->source, 1000);
  Write(second->source, 20);
  EXPECT_EQ(claims_.Claim(3, Of("a"))->position, 20);
  EXPECT_EQ(claims_.Claim(4, Of("a"))->position, 0);
}

}  // namespace
}  // namespace riseml::loghandler
