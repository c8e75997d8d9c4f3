#include "services/common/push/frame_packer.h"

#include <zstd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"

namespace riseml::push {
namespace {

constexpr int kCompressionLevel = 1;

}  // namespace

absl::Status FramePacker::Begin(v1::ObjectPiece::Kind kind, const git::ObjectId& id, std::int64_t bytes) {
  object_.set_oid(std::string(git::Raw(id)));
  object_.set_kind(kind);
  object_.set_object_bytes(bytes);
  return bytes == 0 ? AddPiece({}) : absl::OkStatus();
}

absl::Status FramePacker::Append(absl::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kFrameBytes - data_.size());
    RISEML_RETURN_IF_ERROR(AddPiece(bytes.substr(0, size)));
    bytes.remove_prefix(size);
  }
  return absl::OkStatus();
}

absl::Status FramePacker::AddPiece(absl::string_view bytes) {
  data_.append(bytes.data(), bytes.size());
  v1::ObjectPiece* piece = frame_.add_pieces();
  *piece = object_;
  piece->set_piece_bytes(static_cast<std::int64_t>(bytes.size()));
  if (data_.size() < kFrameBytes && frame_.pieces_size() < kFramePieces) return absl::OkStatus();
  return Flush();
}

absl::Status FramePacker::Flush() {
  if (frame_.pieces_size() == 0) return absl::OkStatus();
  std::string packed(ZSTD_compressBound(data_.size()), '\0');
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), data_.data(), data_.size(), kCompressionLevel);
  if (ZSTD_isError(size)) return absl::InternalError(absl::StrCat("compress a frame: ", ZSTD_getErrorName(size)));
  packed.resize(size);
  frame_.set_data(std::move(packed));
  RISEML_RETURN_IF_ERROR(send_(frame_));
  frame_.Clear();
  data_.clear();
  return absl::OkStatus();
}

}  // namespace riseml::push
