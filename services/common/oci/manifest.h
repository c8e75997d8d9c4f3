// Manifests, indexes and configurations of images. Pure functions; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::oci {

inline constexpr absl::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr absl::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr absl::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr absl::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr absl::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr absl::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr absl::string_view kDockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr absl::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr absl::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";

// Bytes that a manifest, an index or a configuration may have.
inline constexpr std::int64_t kMaxDocumentBytes = 4 << 20;
// Layers that an image may have: the overlay file system of Linux takes no more.
inline constexpr std::size_t kMaxLayers = 127;

// Reference to a blob or a manifest.
struct Descriptor {
  std::string media_type;
  std::string digest;
  std::int64_t size = 0;
  friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

struct Platform {
  std::string os = "linux";
  std::string architecture;  // as Go names it: "amd64", "arm64"
  std::string variant;       // e.g. "v8"; empty: any
  friend bool operator==(const Platform&, const Platform&) = default;
};

// Platform of this machine.
Platform OwnPlatform();
std::string ToString(const Platform& platform);  // "linux/amd64"

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // the lowest first
};

struct Index {
  struct Entry {
    Descriptor manifest;
    Platform platform;
  };
  std::string media_type;
  std::vector<Entry> entries;
};

// Parses a manifest or an index. `content_type` is that of the answer; the document's own mediaType must agree with it.
// INVALID_ARGUMENT for other documents, invalid digests, negative sizes, more than kMaxLayers layers, OCI and Docker
// media types mixed, and layers that lie outside of the registry ("foreign" layers).
absl::StatusOr<std::variant<Manifest, Index>> ParseManifest(absl::string_view content_type, absl::string_view json);

std::string ToJson(const Manifest& manifest);

// Returns the entry of an index for a platform. An entry without a variant serves all variants. NOT_FOUND with the
// platforms that there are.
absl::StatusOr<Descriptor> SelectPlatform(const Index& index, const Platform& wanted);

// Parts of the configuration of an image that its use depends on.
struct ImageConfig {
  Platform platform;
  std::vector<std::string> environment;  // "NAME=VALUE"
  std::string user;                      // empty: root
  std::string working_dir;
  std::vector<std::string> entrypoint, command;
  std::vector<std::string> diff_ids;  // of the layers: digests of the uncompressed tar
};

// INVALID_ARGUMENT for documents that are not configurations of images.
absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json);

}  // namespace riseml::oci
