// Names of container images.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::oci {

// Full name of an image, e.g. docker.io/library/python:3.11.
struct ImageReference {
  std::string registry;    // host with an optional port
  std::string repository;  // e.g. "library/python"
  std::string tag;         // empty: named by its digest only
  std::string digest;      // "sha256:…"; empty: named by its tag only

  // Digest if there is one, otherwise the tag: what a manifest is asked for by.
  const std::string& Target() const { return digest.empty() ? tag : digest; }
  std::string ToString() const;
  friend bool operator==(const ImageReference&, const ImageReference&) = default;
};

// Parses the name of an image by the grammar of the OCI distribution specification. As with Docker, a name without a
// host is one of docker.io, one without a "/" lies in library/, and the tag is "latest" if there is neither tag nor
// digest. INVALID_ARGUMENT with a sentence that names the wrong part, for anything else.
absl::StatusOr<ImageReference> ParseImageReference(absl::string_view text);

// True for a repository that the specification allows: at most 255 characters, components of a-z, 0-9 and separators.
bool IsRepository(absl::string_view text);

}  // namespace riseml::oci
