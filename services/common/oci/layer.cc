#include "services/common/oci/layer.h"

#include <fcntl.h>
#include <zlib.h>
#include <zstd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::oci {
namespace {

// The fastest levels: a layer is sent once, and code is small.
constexpr int kZstdLevel = 1;
constexpr int kGzipLevel = 1;
constexpr int kGzipWindow = 15 + 16;  // 15 is the largest window, 16 adds the header of gzip
constexpr int kGzipMemory = 8;        // zlib's default
constexpr std::size_t kOutBytes = 256 << 10;

}  // namespace

absl::StatusOr<std::string> LayerType(absl::string_view manifest_type, Compression compression) {
  if (!absl::StartsWith(manifest_type, "application/vnd.docker."))
    return std::string(compression == Compression::kZstd ? kOciLayerZstd : kOciLayerGzip);
  if (compression == Compression::kZstd)
    return Error(Reason::kInvalidArgument, "an image with Docker's media types cannot have layers compressed by zstd");
  return std::string(kDockerLayerGzip);
}

void LayerWriter::FreeZstd::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

void LayerWriter::FreeGzip::operator()(z_stream_s* stream) const {
  deflateEnd(stream);
  delete stream;
}

LayerWriter::LayerWriter(UniqueFd file, Compression compression) : file_(std::move(file)), out_(kOutBytes, '\0') {
  if (compression == Compression::kZstd) {
    zstd_.reset(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, kZstdLevel);
  } else {
    gzip_.reset(new z_stream{});
    deflateInit2(gzip_.get(), kGzipLevel, Z_DEFLATED, kGzipWindow, kGzipMemory, Z_DEFAULT_STRATEGY);
  }
}

LayerWriter::~LayerWriter() = default;

absl::StatusOr<std::unique_ptr<LayerWriter>> LayerWriter::Create(const std::string& directory,
                                                                 Compression compression) {
  RISEML_ASSIGN_OR_RETURN(UniqueFd file, OpenFile(directory, O_TMPFILE | O_RDWR, 0600));
  return absl::WrapUnique(new LayerWriter(std::move(file), compression));
}

absl::Status LayerWriter::Write(absl::string_view bytes) {
  tar_.Update(bytes);
  return Compress(bytes, /*last=*/false);
}

absl::StatusOr<Layer> LayerWriter::Finish(absl::string_view media_type) {
  RISEML_RETURN_IF_ERROR(Compress("", /*last=*/true));
  return Layer{{std::string(media_type), blob_.Finish(), size_}, tar_.Finish()};
}

absl::Status LayerWriter::Compress(absl::string_view bytes, bool last) {
  return zstd_ ? CompressZstd(bytes, last) : CompressGzip(bytes, last);
}

absl::Status LayerWriter::CompressZstd(absl::string_view bytes, bool last) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (bool more = true; more;) {
    ZSTD_outBuffer out{out_.data(), out_.size(), 0};
    const std::size_t left = ZSTD_compressStream2(zstd_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0)
      return absl::InternalError(absl::StrCat("compress a layer: ", ZSTD_getErrorName(left)));
    RISEML_RETURN_IF_ERROR(Store({out_.data(), out.pos}));
    more = last ? left > 0 : in.pos < in.size;
  }
  return absl::OkStatus();
}

absl::Status LayerWriter::CompressGzip(absl::string_view bytes, bool last) {
  gzip_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  gzip_->avail_in = static_cast<uInt>(bytes.size());
  for (bool more = true; more;) {
    gzip_->next_out = reinterpret_cast<Bytef*>(out_.data());
    gzip_->avail_out = static_cast<uInt>(out_.size());
    const int result = deflate(gzip_.get(), last ? Z_FINISH : Z_NO_FLUSH);
    if (result == Z_STREAM_ERROR) return absl::InternalError("compress a layer: zlib has no stream");
    RISEML_RETURN_IF_ERROR(Store({out_.data(), out_.size() - gzip_->avail_out}));
    more = last ? result != Z_STREAM_END : gzip_->avail_out == 0;
  }
  return absl::OkStatus();
}

absl::Status LayerWriter::Store(absl::string_view bytes) {
  blob_.Update(bytes);
  size_ += static_cast<std::int64_t>(bytes.size());
  return WriteAll(file_.get(), bytes);
}

BlobSource LayerWriter::Content() const { return SourceOfFile(file_.get(), size_); }

}  // namespace riseml::oci
