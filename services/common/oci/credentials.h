// Credentials for registries.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::oci {

struct Credential {
  std::string username, password;
};

// Credentials by registry, as ImageReference::registry names it.
using Credentials = std::map<std::string, Credential>;

// Parses a file of Docker's format, {"auths": {HOST: {"auth": base64 of NAME:PASSWORD}}}, also with "username" and
// "password". Keys may be URLs; https://index.docker.io/v1/ is docker.io. INVALID_ARGUMENT with the host of a wrong
// entry, never with a secret.
absl::StatusOr<Credentials> ParseDockerConfig(absl::string_view json);

// Formats credentials for podman and buildah. The result is a secret.
std::string ToDockerConfig(const Credentials& credentials);

}  // namespace riseml::oci
