// Packs git objects into the frames of a push.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "riseml/v1/file.pb.h"
#include "services/common/git/object_id.h"

namespace riseml::push {

// Size of the content of a frame before compression.
inline constexpr std::size_t kFrameBytes = 256 * 1024;
inline constexpr int kFramePieces = 4'000;

// Lives on one thread.
class FramePacker {
 public:
  using Send = std::function<absl::Status(const v1::PushFrame&)>;
  explicit FramePacker(Send send) : send_(std::move(send)) {}

  // One object: Begin, Append until its bytes have come. An empty object needs Begin only.
  absl::Status Begin(v1::ObjectPiece::Kind kind, const git::ObjectId& id, std::int64_t bytes);
  absl::Status Append(absl::string_view bytes);

  // Sends what is left.
  absl::Status Flush();

 private:
  absl::Status AddPiece(absl::string_view bytes);

  const Send send_;
  v1::ObjectPiece object_;
  v1::PushFrame frame_;
  std::string data_;
};

}  // namespace riseml::push
