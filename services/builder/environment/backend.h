// Port to what an environment is and where environments are kept: a directory of the nodes, or an image of a registry.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/environment/plan.h"

namespace riseml::builder {

// Checked request for an environment, with the inputs from the code that decide it. Exists only if an environment is
// needed.
struct WantedEnvironment {
  std::string owner_uid;
  std::string project_uid;           // empty: not known
  std::vector<std::string> install;  // the user's steps, in order
  std::string framework;             // "tensorflow" or empty
  std::string framework_version;     // empty: what the index offers
  std::string image;                 // asked for; empty: none
  std::string rebuild;               // UUID of who wants it built anew; empty: nobody
  CodeInputs code;
  std::vector<std::string> prefix_digests;  // as in Inputs (plan.h)
};

// Thread-safe. A call may read and write disks, but runs no programs of users.
class EnvironmentBackend {
 public:
  virtual ~EnvironmentBackend() = default;

  // The environment: its key and location, READY with a digest or MISSING with a plan, and why. Equal wishes have equal
  // keys; those of different owners never have. Once what a rebuild made is there, it is the one for the same wish
  // without `rebuild`. Errors: FAILED_PRECONDITION when what it would be based on is not there, such as the
  // interpreter; UNAVAILABLE; RESOURCE_EXHAUSTED (DISK_FULL).
  virtual absl::StatusOr<internal::v1::Environment> Resolve(const WantedEnvironment& wanted) = 0;

  // All that are stored, by key, complete or not.
  virtual absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List() = 0;

  // Removes one that nobody uses. Absent: nothing to do. INVALID_ARGUMENT for what is no key.
  virtual absl::Status Remove(const std::string& key) = 0;
};

}  // namespace riseml::builder
