// Tells which environment a job needs, whether it exists, and how to build it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/code_files.h"
#include "services/builder/plan.h"
#include "services/builder/stored.h"
#include "services/common/base/mutex.h"
#include "services/common/base/python_versions.h"

namespace riseml::builder {

struct Installation {
  std::string environments_dir;
  std::string python;
  absl::StatusOr<std::string> python_version;
  std::string client_dir;
  std::string client_digest;
  std::vector<std::string> interpreter_dirs;  // further places of interpreters
};

// Thread-safe.
class Resolver {
 public:
  // Both outlive this.
  Resolver(Installation installation, CodeFiles& files, StoredEnvironments& stored);

  // Errors: INVALID_ARGUMENT for a request over the limits or with an unknown framework; FAILED_PRECONDITION when the
  // interpreter cannot be used; UNAVAILABLE when the code cannot be read; NOT_FOUND when there is no such commit.
  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request);

 private:
  // What of the commit decides an environment, and its first steps.
  struct KnownCode {
    CodeInputs all;
    std::vector<std::string> prefix_digests;
  };
  // Remembered, as a commit never changes.
  absl::StatusOr<KnownCode> FindCode(const internal::v1::ResolveEnvironmentRequest& request);

  const Installation installation_;
  CodeFiles& files_;
  StoredEnvironments& stored_;
  Interpreters interpreters_;
  Mutex mu_;
  std::map<std::string, KnownCode> known_ ABSL_GUARDED_BY(mu_);  // by project, commit and steps; at most 2,000
};

}  // namespace riseml::builder
