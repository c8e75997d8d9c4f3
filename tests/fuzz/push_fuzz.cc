// Feeds arbitrary bytes to what takes a push apart: frames and trees.
#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "riseml/v1/file.pb.h"
#include "services/common/git/tree.h"
#include "services/gitsync/frame_reader.h"

namespace {

using riseml::git::ObjectId;

void Require(bool promise) {
  if (!promise) std::abort();
}

// Holds the reader to its side of the contract.
class CheckingSink final : public riseml::gitsync::ObjectSink {
 public:
  absl::Status Begin(riseml::git::ObjectKind kind, std::int64_t bytes) override {
    Require(!open_ && bytes >= 0);
    open_ = true;
    left_ = bytes;
    hasher_.Start(kind, bytes);
    return absl::OkStatus();
  }
  absl::Status Append(absl::string_view piece) override {
    left_ -= static_cast<std::int64_t>(piece.size());
    Require(open_ && left_ >= 0);
    hasher_.Update(piece);
    return absl::OkStatus();
  }
  absl::StatusOr<ObjectId> End() override {
    Require(open_ && left_ == 0);
    open_ = false;
    return hasher_.Finish();
  }

 private:
  bool open_ = false;
  std::int64_t left_ = 0;
  riseml::git::ObjectHasher hasher_;
};

void ReadFrame(const std::string& input, bool compress) {
  riseml::v1::PushFrame frame;
  if (!frame.ParseFromString(input)) return;
  if (compress) {  // or no input gets behind zstd's checks
    std::string packed(ZSTD_compressBound(frame.data().size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), frame.data().data(), frame.data().size(), 1));
    frame.set_data(packed);
  }
  CheckingSink sink;
  riseml::gitsync::FrameReader reader({.revision_bytes = 100'000, .file_bytes = 10'000, .files = 100}, sink);
  if (reader.Add(frame).ok()) (void)reader.Finish().ok();
}

void ReadTree(const std::string& input) {
  auto entries = riseml::git::ParseTree(input);
  if (entries.ok()) Require(riseml::git::PrintTree(*entries) == input);
  (void)riseml::git::CheckLinkTarget(input).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) {
    ReadTree(input);
  } else {
    ReadFrame(input, data[0] % 3 == 1);
  }
  return 0;
}
