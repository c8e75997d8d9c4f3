// Decides which image an environment is, and plans its build. Pure.
//
// The build's commands run in the directory of the code, where buildah, awk and the usual tools are; files that they
// make lie in $HOME. $RISEML_LAYERS is a directory that all builds of a user share.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/environment/key.h"
#include "services/builder/environment/plan.h"
#include "services/common/oci/credentials.h"
#include "services/common/oci/reference.h"

namespace riseml::builder {

// Version of how images are built; part of the key.
inline constexpr int kImageFormat = 2;

// Label of an environment's image that holds its key.
inline constexpr char kKeyLabel[] = "com.riseml.environment";

struct ImageInputs {
  std::string owner_uid;             // environments are not shared between users
  oci::ImageReference base;          // with the digest of the manifest, which is for one platform
  std::vector<std::string> install;  // the user's steps, in order
  CodeInputs code;                   // the part of the code that decides
  std::string rebuild;               // who asked to build it anew; empty: nobody
  std::string built_because;         // for the log (CacheExplanation.reason); decides nothing
};

// 64 hex digits. The name and the tag of the base decide nothing, its digest does.
std::string KeyOf(const ImageInputs& inputs);

// As of environments that are directories (explain.h).
std::vector<internal::v1::DecidingInput> DecidingInputsOf(const ImageInputs& inputs);

// Destination of a built image, and the network that its build may use.
struct ImageTarget {
  std::string reference;         // without a digest, e.g. "127.0.0.1:5000/USER/environments:KEY"
  bool plain_http = false;       // the registry of `reference` is called without TLS
  bool base_plain_http = false;  // that of the base
  oci::Credentials credentials;  // for both
  bool steps_without_network = false;
};

// Returns the steps that build the image with the key `key`, and send it to the registry.
std::vector<Step> StepsOf(const ImageInputs& inputs, absl::string_view key, const ImageTarget& target);

}  // namespace riseml::builder
