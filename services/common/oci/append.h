// Images made from other images: layers on top of a base. AppendLayers is pure; the other functions call a registry.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/oci/layer.h"
#include "services/common/oci/manifest.h"
#include "services/common/oci/registry.h"

namespace riseml::oci {

// Documents of one image for one platform.
struct Image {
  Descriptor descriptor;  // of the manifest
  Manifest manifest;
  std::string manifest_bytes, config_bytes;
};

// Changes of an image besides its layers. Empty fields leave the base's value.
struct ImageChanges {
  std::map<std::string, std::string> environment;  // replaces variables of the same name
  std::map<std::string, std::string> labels;
  std::string working_dir;
  std::string created_by;  // what made the layers; for the image's history
};

// Returns `base` with layers on top. Equal arguments give equal bytes: the time of creation is that of the base.
// INVALID_ARGUMENT if base or layers do not fit together: a configuration with another number of diff_ids than the
// manifest has layers, mixed media types, more than kMaxLayers layers.
absl::StatusOr<Image> AppendLayers(const Image& base, const std::vector<Layer>& layers, const ImageChanges& changes);

// Reads an image; of an index, that for `platform`. Errors: those of Registry, and NOT_FOUND without the platform.
absl::StatusOr<Image> ReadImage(Registry& registry, const std::string& repository, const std::string& reference,
                                const Platform& platform, const std::stop_token& stop = {});

// Writes configuration and manifest of an image whose layers are there, under `tag`. Returns the manifest.
absl::StatusOr<Descriptor> WriteImage(Registry& registry, const std::string& repository, const std::string& tag,
                                      const Image& image, const std::stop_token& stop = {});

}  // namespace riseml::oci
