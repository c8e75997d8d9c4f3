// Remembers which attempt builds an environment on this node. The remains of a broken build are removed, and those
// that a later attempt has begun are kept.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "services/agent/attempt/trash.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Makes the path of a sealed environment lead to it, whatever a job has put there.
absl::Status LinkToSealed(const std::string& path);

// Thread-safe.
class EnvironmentClaims {
 public:
  // `environments` holds a directory for each user, and in that one for each environment. Empty: there are none.
  explicit EnvironmentClaims(std::string environments);

  // Makes the directory `path` of an environment; from now on it belongs to the attempt `owner`.
  absl::Status Claim(const std::string& path, const std::string& owner);
  // What becomes of the directory when its build has ended, if it belongs to `owner`: it is sealed when the build
  // `succeeded` and completed it (environment_layout.h), otherwise removed.
  absl::Status Settle(const std::string& path, const std::string& owner, bool succeeded);

 private:
  std::string ClaimOf(const std::string& path) const;
  std::string UserOf(const std::string& path) const;
  absl::Status Seal(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string environments_;
  Mutex mu_;
  std::unique_ptr<Trash> trash_;  // null: there are no environments
};

}  // namespace riseml::agent
