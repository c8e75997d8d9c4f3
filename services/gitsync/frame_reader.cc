#include "services/gitsync/frame_reader.h"

#include <zstd.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::gitsync {
namespace {

std::optional<git::ObjectKind> KindOf(v1::ObjectPiece::Kind kind) {
  if (kind == v1::ObjectPiece::BLOB) return git::ObjectKind::kBlob;
  if (kind == v1::ObjectPiece::TREE) return git::ObjectKind::kTree;
  return std::nullopt;
}

absl::Status Invalid(absl::string_view message) { return Error(Reason::kInvalidArgument, message); }

}  // namespace

absl::Status FrameReader::Add(const v1::PushFrame& frame) {
  if (frame.pieces_size() > kMaxFramePieces) return Invalid("a frame has more than 20,000 pieces");
  unpacked_.resize(kMaxFrameBytes);
  const std::size_t size =
      ZSTD_decompress(unpacked_.data(), unpacked_.size(), frame.data().data(), frame.data().size());
  if (ZSTD_isError(size)) return Invalid(absl::StrCat("unpack a frame of at most 256 KiB: ", ZSTD_getErrorName(size)));
  absl::string_view rest(unpacked_.data(), size);
  for (const v1::ObjectPiece& piece : frame.pieces()) {
    if (piece.piece_bytes() < 0 || piece.piece_bytes() > static_cast<std::int64_t>(rest.size()))
      return Invalid("a piece is larger than the data of its frame");
    RISEML_RETURN_IF_ERROR(AddPiece(piece, rest.substr(0, piece.piece_bytes())));
    rest.remove_prefix(piece.piece_bytes());
  }
  if (!rest.empty()) return Invalid("a frame has data that belongs to no piece");
  return absl::OkStatus();
}

absl::Status FrameReader::AddPiece(const v1::ObjectPiece& piece, absl::string_view data) {
  const std::optional<git::ObjectId> id = git::FromRaw(piece.oid());
  const std::optional<git::ObjectKind> kind = KindOf(piece.kind());
  if (!id || !kind) return Invalid("a piece needs an id of 20 bytes and a kind");
  if (!open_) {
    RISEML_RETURN_IF_ERROR(BeginObject(piece));
  } else if (*id != open_id_ || *kind != open_object_.kind || piece.object_bytes() != open_object_.bytes) {
    return Invalid(absl::StrCat("object ", git::Hex(open_id_), " is not complete when the next one begins"));
  }
  received_ += data.size();
  if (received_ > open_object_.bytes)
    return Invalid(absl::StrCat("object ", git::Hex(*id), " is longer than announced"));
  if (data.empty() && open_object_.bytes > 0)
    return Invalid(absl::StrCat("a piece of object ", git::Hex(*id), " is empty"));
  RISEML_RETURN_IF_ERROR(sink_.Append(data));
  if (received_ < open_object_.bytes) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const git::ObjectId found, sink_.End());
  if (found != *id)
    return Invalid(absl::StrCat("object ", git::Hex(*id), " has content with the id ", git::Hex(found),
                                "; the file changed or the transfer is damaged, push again"));
  open_ = false;
  return absl::OkStatus();
}

absl::Status FrameReader::BeginObject(const v1::ObjectPiece& piece) {
  open_id_ = *git::FromRaw(piece.oid());
  open_object_ = PushedObject{*KindOf(piece.kind()), piece.object_bytes()};
  received_ = 0;
  open_ = true;
  const std::int64_t bytes = open_object_.bytes;
  if (bytes < 0) return Invalid(absl::StrCat("object ", git::Hex(open_id_), " has a negative size"));
  const bool is_blob = open_object_.kind == git::ObjectKind::kBlob;
  const std::int64_t object_limit = is_blob ? limits_.file_bytes : kMaxTreeBytes;
  const std::int64_t total_limit = is_blob ? limits_.revision_bytes : kMaxTreeBytes;
  std::int64_t& total = is_blob ? blob_bytes_ : tree_bytes_;
  if (bytes > object_limit)
    return LimitExceeded(
        absl::StrCat(is_blob ? "a file" : "a directory", " of ", bytes, " bytes is over the limit of ", object_limit),
        object_limit, bytes);
  total += bytes;
  if (total > total_limit)
    return LimitExceeded(
        absl::StrCat("the push has more than ", total_limit, " bytes of ", is_blob ? "files" : "directories"),
        total_limit, total);
  // Each file may have a directory of its own.
  if (static_cast<std::int64_t>(objects_.size()) >= 2 * limits_.files + kMaxDepth)
    return LimitExceeded(absl::StrCat("the push has too many objects for a revision of ", limits_.files, " files"),
                         2 * limits_.files + kMaxDepth, static_cast<std::int64_t>(objects_.size()) + 1);
  if (!objects_.emplace(open_id_, open_object_).second)
    return Invalid(absl::StrCat("object ", git::Hex(open_id_), " comes twice"));
  return sink_.Begin(open_object_.kind, bytes);
}

absl::Status FrameReader::Finish() const {
  if (open_) return Invalid(absl::StrCat("the push ended in the middle of object ", git::Hex(open_id_)));
  return absl::OkStatus();
}

}  // namespace riseml::gitsync
