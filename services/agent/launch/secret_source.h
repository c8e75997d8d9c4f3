// Port to the secrets of an attempt, and its adapter for api.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "riseml/config/v1/agent.pb.h"

namespace riseml::agent {

// Thread-safe.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  // Values by name of all secrets that the attempt with this token asks for. UNAVAILABLE: try again.
  // FAILED_PRECONDITION if one has been deleted.
  virtual absl::StatusOr<std::map<std::string, std::string>> Fetch(const std::string& token) = 0;
};

// Asks api over its user listener. A call ends after 10 s at the latest.
absl::StatusOr<std::unique_ptr<SecretSource>> MakeApiSecretSource(const config::v1::NodeConfig& config);

}  // namespace riseml::agent
