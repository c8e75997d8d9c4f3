// Layers of images: compresses a tar archive and computes the digests that name it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/http.h"
#include "services/common/oci/manifest.h"

struct ZSTD_CCtx_s;
struct z_stream_s;

namespace riseml::oci {

enum class Compression { kGzip, kZstd };

// Returns the media type of a layer in an image whose manifest has type `manifest_type`: OCI and Docker types are never
// mixed. INVALID_ARGUMENT for zstd in a Docker image, which has no type for it.
absl::StatusOr<std::string> LayerType(absl::string_view manifest_type, Compression compression);

struct Layer {
  Descriptor descriptor;
  std::string diff_id;  // digest of the tar
  friend bool operator==(const Layer&, const Layer&) = default;
};

// Compresses a tar into a temporary file that has no name. Equal tars give equal layers. Lives on one thread.
class LayerWriter {
 public:
  // `directory` is where the file lies. Errors: those of the file system.
  static absl::StatusOr<std::unique_ptr<LayerWriter>> Create(const std::string& directory, Compression compression);
  ~LayerWriter();

  // Takes the next bytes of the tar. LIMIT_EXCEEDED and DISK_FULL from the file system.
  absl::Status Write(absl::string_view bytes);

  // Ends the layer. `media_type` becomes that of its descriptor.
  absl::StatusOr<Layer> Finish(absl::string_view media_type);

  // Content of the finished layer. Valid while this object lives.
  BlobSource Content() const;

 private:
  LayerWriter(UniqueFd file, Compression compression);
  absl::Status Compress(absl::string_view bytes, bool last);
  absl::Status CompressZstd(absl::string_view bytes, bool last);
  absl::Status CompressGzip(absl::string_view bytes, bool last);
  absl::Status Store(absl::string_view bytes);

  struct FreeZstd {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  struct FreeGzip {
    void operator()(z_stream_s* stream) const;
  };

  const UniqueFd file_;
  std::unique_ptr<ZSTD_CCtx_s, FreeZstd> zstd_;
  std::unique_ptr<z_stream_s, FreeGzip> gzip_;
  Digester tar_, blob_;
  std::int64_t size_ = 0;
  std::string out_;  // buffer
};

}  // namespace riseml::oci
