#include "services/loghandler/store/segment.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/testing/test_support.h"

namespace riseml::loghandler {
namespace {

// Without the fsyncs of WriteFileAtomically: these tests write a thousand files.
bool WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
  return file.flush().good();
}

class SegmentTest : public testing::Test {
 protected:
  // A segment that begins in the middle of a stream, with these blocks.
  SegmentWriter Write(const std::vector<v1::LogBlock>& blocks, const StreamPoint& start) {
    SegmentWriter writer = *SegmentWriter::Create(disk_, dir_.path(), start);
    for (const v1::LogBlock& block : blocks) {
      const BlockEntry entry = DescribeBlock(block, *DecodeBlock(block), writer.index().end);
      EXPECT_TRUE(writer.Append(block.SerializeAsString(), entry).ok());
    }
    return writer;
  }
  SegmentIndex Index(const std::string& path) {
    const UniqueFd fd = *OpenFile(path, O_RDONLY);
    const absl::StatusOr<SegmentIndex> index = ReadIndex(fd.get(), path);
    EXPECT_TRUE(index.ok()) << index.status();
    return *index;
  }
  std::vector<v1::LogBlock> Blocks() {
    return {ZstdBlock(1000, "one\ntwo"), PlainBlock(1007, "\nthree\n"), GapBlock(1014, 500), PlainBlock(1514, "four")};
  }
  const StreamPoint start_{1000, 20, true};
  TempDir dir_;
  FileDisk disk_;
};

TEST_F(SegmentTest, NamesRoundTripAndSort) {
  EXPECT_EQ(SegmentName(8'388'608), "seg-00000000000008388608.rlog");
  EXPECT_EQ(ParseSegmentName(SegmentName(123)), 123);
  EXPECT_LT(SegmentName(999), SegmentName(1000));
  for (const char* bad : {"stream.pb", "seg-1.rlog", "seg-0000000000000000000x.rlog", "seg--0000000000000000001.rlog",
                          "seg-00000000000000000001.rlog.tmp"})
    EXPECT_EQ(ParseSegmentName(bad), std::nullopt) << bad;
}

TEST_F(SegmentTest, AnOpenSegmentIsReadByItsRecords) {
  const SegmentWriter writer = Write(Blocks(), start_);
  const SegmentIndex index = Index(writer.path());
  EXPECT_FALSE(index.sealed);
  EXPECT_EQ(index.start, start_);
  EXPECT_EQ(index.end, (StreamPoint{1518, 23, false}));
  EXPECT_EQ(index.entries, writer.index().entries);
  EXPECT_EQ(index.data_end, writer.index().data_end);
}

TEST_F(SegmentTest, ASealedSegmentIsReadByItsFooter) {
  SegmentWriter writer = Write(Blocks(), start_);
  ASSERT_TRUE(writer.Seal().ok());
  const SegmentIndex index = Index(writer.path());
  EXPECT_TRUE(index.sealed);
  EXPECT_EQ(index.start, start_);
  EXPECT_EQ(index.end, (StreamPoint{1518, 23, false}));
  EXPECT_EQ(index.entries, writer.index().entries);
  const UniqueFd fd = *OpenFile(writer.path(), O_RDONLY);
  for (std::size_t i = 0; i < Blocks().size(); ++i) {
    const v1::LogBlock block = *ReadBlock(fd.get(), writer.path(), index.entries[i]);
    EXPECT_EQ(block.SerializeAsString(), Blocks()[i].SerializeAsString());
  }
}

TEST_F(SegmentTest, CutAtEveryByteOfTheLastRecordTheRestIsRecovered) {
  const SegmentWriter whole = Write(Blocks(), start_);
  const std::string bytes = *ReadFile(whole.path(), 1 << 20);
  const std::int64_t last = whole.index().entries.back().file_offset;
  const std::string path = absl::StrCat(dir_.path(), "/copy");
  for (std::int64_t length = last; length < static_cast<std::int64_t>(bytes.size()); ++length) {
    ASSERT_TRUE(WriteFile(path, bytes.substr(0, length)));
    SegmentIndex index = Index(path);
    ASSERT_EQ(index.entries.size(), 3u) << length;
    ASSERT_EQ(index.end.offset, 1514) << length;
    SegmentWriter again = *SegmentWriter::Reopen(disk_, path, index);
    ASSERT_EQ(std::filesystem::file_size(path), static_cast<std::uintmax_t>(last)) << length;
    const v1::LogBlock block = PlainBlock(1514, "four");
    ASSERT_TRUE(again.Append(block.SerializeAsString(), DescribeBlock(block, "four", index.end)).ok());
    ASSERT_EQ(*ReadFile(path, 1 << 20), bytes) << length;
  }
}

TEST_F(SegmentTest, AnyDamagedByteOfTheLastRecordCutsIt) {
  const SegmentWriter whole = Write(Blocks(), start_);
  const std::string bytes = *ReadFile(whole.path(), 1 << 20);
  const std::string path = absl::StrCat(dir_.path(), "/copy");
  for (std::size_t at = whole.index().entries.back().file_offset; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    ASSERT_TRUE(WriteFile(path, damaged));
    ASSERT_EQ(Index(path).entries.size(), 3u) << at;
  }
}

TEST_F(SegmentTest, CutOrDamagedAnywhereInTheFooterTheRecordsAreRead) {
  SegmentWriter whole = Write(Blocks(), start_);
  const std::int64_t data_end = whole.index().data_end;
  ASSERT_TRUE(whole.Seal().ok());
  const std::string bytes = *ReadFile(whole.path(), 1 << 20);
  const std::string path = absl::StrCat(dir_.path(), "/copy");
  for (std::size_t at = data_end; at < bytes.size(); ++at) {
    ASSERT_TRUE(WriteFile(path, bytes.substr(0, at)));
    SegmentIndex index = Index(path);
    ASSERT_FALSE(index.sealed) << at;
    ASSERT_EQ(index.entries, whole.index().entries) << at;
    ASSERT_EQ(index.data_end, data_end) << at;
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_TRUE(WriteFile(path, damaged));
    index = Index(path);
    ASSERT_EQ(index.entries, whole.index().entries) << at;
    ASSERT_EQ(index.end, whole.index().end) << at;
  }
}

TEST_F(SegmentTest, ADamagedHeaderIsDataLoss) {
  const SegmentWriter whole = Write(Blocks(), start_);
  const std::string bytes = *ReadFile(whole.path(), 1 << 20);
  for (std::size_t at = 0; at < kHeaderSize; ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_TRUE(absl::IsDataLoss(ParseHeader(damaged).status())) << at;
  }
  EXPECT_TRUE(absl::IsDataLoss(ParseHeader(bytes.substr(0, kHeaderSize - 1)).status()));
}

TEST_F(SegmentTest, ADamagedRecordIsDataLossAndNamesTheFile) {
  SegmentWriter whole = Write(Blocks(), start_);
  ASSERT_TRUE(whole.Seal().ok());
  std::string bytes = *ReadFile(whole.path(), 1 << 20);
  const BlockEntry entry = whole.index().entries[1];
  bytes[entry.file_offset + kRecordHeaderSize + 3] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(whole.path(), bytes).ok());
  const UniqueFd fd = *OpenFile(whole.path(), O_RDONLY);
  const absl::Status status = ReadBlock(fd.get(), whole.path(), entry).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(whole.path()));
}

}  // namespace
}  // namespace riseml::loghandler
