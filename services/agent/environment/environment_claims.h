// Remembers which attempt builds an environment on this node. The remains of a broken build are removed, unless a later
// attempt has claimed the directory since.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "services/agent/attempt/trash.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Makes `path` a link to the sealed environment, in place of whatever a job has put there.
absl::Status LinkToSealed(const std::string& path);

// Thread-safe.
class EnvironmentClaims {
 public:
  // `environments` has one directory for each user, with that user's environments in it. Empty: there are none.
  explicit EnvironmentClaims(std::string environments);

  // Makes the directory `path` of an environment; from now on it belongs to the attempt `owner`.
  absl::Status Claim(const std::string& path, const std::string& owner);
  // Called when a build has ended. If the directory belongs to `owner`, it is sealed when the build `succeeded` and
  // completed it (environment_layout.h), and removed otherwise.
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
