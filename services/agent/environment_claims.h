// Which attempt makes an environment on this node, so that what a broken build leaves is removed, and what a later one
// has begun is not.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe.
class EnvironmentClaims {
 public:
  // Makes the environment's directory; from now on it belongs to the attempt `owner`.
  absl::Status Claim(const std::string& path, const std::string& owner);
  // Removes the directory if it belongs to `owner` and was never completed.
  absl::Status Discard(const std::string& path, const std::string& owner);

 private:
  Mutex mu_;
};

}  // namespace riseml::agent
