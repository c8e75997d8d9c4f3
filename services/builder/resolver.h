// Tells which environment a job needs, whether it exists, and how to build it. Reads, never writes.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/code_files.h"

namespace riseml::builder {

struct Installation {
  std::string environments_dir;
  std::string python;
  absl::StatusOr<std::string> python_version;
  std::string client_dir;
  std::string client_digest;
};

// Thread-safe.
class Resolver {
 public:
  // `files` outlives this.
  Resolver(Installation installation, CodeFiles& files) : installation_(std::move(installation)), files_(files) {}

  // Errors: INVALID_ARGUMENT for a request over the limits or with an unknown framework; FAILED_PRECONDITION when the
  // interpreter cannot be used; UNAVAILABLE when the code cannot be read; NOT_FOUND when there is no such commit.
  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request);

 private:
  const Installation installation_;
  CodeFiles& files_;
};

}  // namespace riseml::builder
