#include "services/gitsync/frame_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <random>

#include "services/common/base/status.h"
#include "services/gitsync/testing/push_builder.h"

namespace riseml::gitsync {
namespace {

using ::testing::HasSubstr;

// Hashes what comes, as the pack writer does, and checks that the reader keeps to its side of the contract.
class HashingSink final : public ObjectSink {
 public:
  absl::Status Begin(git::ObjectKind kind, std::int64_t bytes) override {
    EXPECT_FALSE(open_);
    open_ = true;
    left_ = bytes;
    hasher_.Start(kind, bytes);
    return absl::OkStatus();
  }
  absl::Status Append(absl::string_view piece) override {
    EXPECT_TRUE(open_);
    left_ -= static_cast<std::int64_t>(piece.size());
    EXPECT_GE(left_, 0);
    hasher_.Update(piece);
    return absl::OkStatus();
  }
  absl::StatusOr<git::ObjectId> End() override {
    EXPECT_EQ(left_, 0);
    open_ = false;
    return hasher_.Finish();
  }

 private:
  bool open_ = false;
  std::int64_t left_ = 0;
  git::ObjectHasher hasher_;
};

class FrameReaderTest : public ::testing::Test {
 protected:
  static v1::PushFrame Pack(const std::string& data) {
    v1::PushFrame frame;
    std::string packed(ZSTD_compressBound(data.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), data.data(), data.size(), 1));
    frame.set_data(packed);
    return frame;
  }
  static v1::ObjectPiece& AddPiece(v1::PushFrame& frame, const git::ObjectId& id, std::int64_t object_bytes,
                                   std::int64_t bytes) {
    v1::ObjectPiece& piece = *frame.add_pieces();
    piece.set_oid(std::string(git::Raw(id)));
    piece.set_kind(v1::ObjectPiece::BLOB);
    piece.set_object_bytes(object_bytes);
    piece.set_piece_bytes(bytes);
    return piece;
  }
  static git::ObjectId Id(const std::string& content) { return git::HashObject(git::ObjectKind::kBlob, content); }

  std::string Refusal(const v1::PushFrame& frame) {
    const absl::Status status = FrameReader(limits_, sink_).Add(frame);
    EXPECT_FALSE(status.ok());
    sink_ = HashingSink();
    return std::string(status.message());
  }

  Limits limits_;
  HashingSink sink_;
};

TEST_F(FrameReaderTest, ObjectsMayGoOnInTheNextFrame) {
  FrameReader reader(limits_, sink_);
  v1::PushFrame first = Pack("ab");
  AddPiece(first, Id("abc"), 3, 2);
  ASSERT_TRUE(reader.Add(first).ok());
  EXPECT_THAT(std::string(reader.Finish().message()), HasSubstr("in the middle of object"));
  v1::PushFrame second = Pack("cd");
  AddPiece(second, Id("abc"), 3, 1);
  AddPiece(second, Id("d"), 1, 1);
  AddPiece(second, Id(""), 0, 0);
  const absl::Status status = reader.Add(second);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader.objects().size(), 3u);
}

TEST_F(FrameReaderTest, RefusesFramesThatAreNotAsTheProtoSays) {
  v1::PushFrame frame;
  frame.set_data("not zstd");
  EXPECT_THAT(Refusal(frame), HasSubstr("unpack a frame"));
  EXPECT_THAT(Refusal(Pack(std::string(kMaxFrameBytes + 1, 'x'))), HasSubstr("unpack a frame"));
  EXPECT_THAT(Refusal(Pack("x")), HasSubstr("belongs to no piece"));

  frame = Pack("ab");
  AddPiece(frame, Id("abc"), 3, 3);
  EXPECT_THAT(Refusal(frame), HasSubstr("larger than the data"));
  frame = Pack("ab");
  AddPiece(frame, Id("ab"), 2, -1);
  EXPECT_THAT(Refusal(frame), HasSubstr("larger than the data"));
  frame = Pack("ab");
  AddPiece(frame, Id("a"), 1, 2);
  EXPECT_THAT(Refusal(frame), HasSubstr("longer than announced"));
  frame = Pack("ab");
  AddPiece(frame, Id("ab"), -1, 2);
  EXPECT_THAT(Refusal(frame), HasSubstr("negative size"));
  frame = Pack("ab");
  AddPiece(frame, Id("abc"), 3, 2);
  AddPiece(frame, Id("x"), 1, 0);
  EXPECT_THAT(Refusal(frame), HasSubstr("not complete"));
  frame = Pack("a");
  AddPiece(frame, Id("a"), 1, 0);
  EXPECT_THAT(Refusal(frame), HasSubstr("is empty"));
  frame = Pack("aa");
  AddPiece(frame, Id("a"), 1, 1);
  AddPiece(frame, Id("a"), 1, 1);
  EXPECT_THAT(Refusal(frame), HasSubstr("comes twice"));
  frame = Pack("a");
  AddPiece(frame, Id("a"), 1, 1).set_kind(v1::ObjectPiece::KIND_UNSPECIFIED);
  EXPECT_THAT(Refusal(frame), HasSubstr("a kind"));
  frame = Pack("a");
  AddPiece(frame, Id("a"), 1, 1).set_oid("short");
  EXPECT_THAT(Refusal(frame), HasSubstr("20 bytes"));
  frame = Pack("");
  for (int i = 0; i <= kMaxFramePieces; ++i) frame.add_pieces();
  EXPECT_THAT(Refusal(frame), HasSubstr("20,000 pieces"));
}

TEST_F(FrameReaderTest, KeepsTheBoundOnObjects) {
  limits_.files = 10;
  FrameReader reader(limits_, sink_);
  absl::Status status;
  int accepted = 0;
  while (status.ok() && accepted < 1000) {
    const std::string content = std::to_string(accepted);
    v1::PushFrame frame = Pack(content);
    AddPiece(frame, Id(content), content.size(), content.size());
    status = reader.Add(frame);
    if (status.ok()) ++accepted;
  }
  EXPECT_TRUE(HasReason(status, Reason::kLimitExceeded)) << status;
  EXPECT_EQ(accepted, 2 * 10 + kMaxDepth);
}

// Whatever is done to a good push, the reader answers with a status, and what it calls good hashes to its id.
TEST_F(FrameReaderTest, DamagedFramesNeverPassForOthers) {
  PushBuilder push;
  for (int i = 0; i < 20; ++i) push.Blob(std::string(i * 700, 'a' + i));
  const std::vector<v1::PushFrame> frames = push.Frames();
  std::mt19937 random(20'240'301);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = frames[random() % frames.size()].SerializeAsString();
    for (int change = 1 + static_cast<int>(random() % 3); change > 0; --change) {
      const std::size_t at = random() % bytes.size();
      if (random() % 4 == 0) {
        bytes.erase(at, 1 + random() % 8);
      } else {
        bytes[at] = static_cast<char>(random());
      }
      if (bytes.empty()) bytes = "x";
    }
    v1::PushFrame damaged;
    if (!damaged.ParseFromString(bytes)) continue;
    HashingSink sink;
    FrameReader reader(limits_, sink);
    if (!reader.Add(damaged).ok()) ++refused;
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace riseml::gitsync
