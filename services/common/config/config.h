// Configuration files: YAML, strictly matched against a proto message of riseml.config.v1.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::config {

// Fills `message` from at most 64 KiB of YAML text. INVALID_ARGUMENT names the unknown key, or the key with the wrong
// type.
absl::Status ParseConfig(absl::string_view yaml, google::protobuf::Message* message);

// The same from a file; errors name the file.
absl::Status LoadConfig(const std::string& path, google::protobuf::Message* message);

}  // namespace riseml::config
