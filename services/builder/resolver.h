// Resolves the environment of a job: checks the request, finds the deciding part of the code, and asks the backend.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/code_files.h"
#include "services/builder/environment/backend.h"
#include "services/common/base/mutex.h"

namespace riseml::builder {

// Thread-safe.
class Resolver {
 public:
  // Both outlive this.
  Resolver(CodeFiles& files, EnvironmentBackend& backend) : files_(files), backend_(backend) {}

  // Errors: INVALID_ARGUMENT for a request over the limits or with an unknown framework; UNAVAILABLE when the code
  // cannot be read; NOT_FOUND when there is no such commit; those of the backend.
  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request);

 private:
  // Inputs of an environment that a commit determines, and its first steps.
  struct KnownCode {
    CodeInputs all;
    std::vector<std::string> prefix_digests;
  };
  // Remembers its answers, as a commit never changes.
  absl::StatusOr<KnownCode> FindCode(const internal::v1::ResolveEnvironmentRequest& request);

  CodeFiles& files_;
  EnvironmentBackend& backend_;
  Mutex mu_;
  std::map<std::string, KnownCode> known_ ABSL_GUARDED_BY(mu_);  // by project, commit and steps; at most 2,000
};

}  // namespace riseml::builder
