// Port to the kind of environments and their storage: directories on the nodes, or images in a registry.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/environment/key.h"

namespace riseml::builder {

// Checked request for an environment, with the inputs from the code that decide it.
struct WantedEnvironment {
  std::string owner_uid;
  std::string project_uid;           // empty: not known
  std::vector<std::string> install;  // the user's steps, in order
  std::string framework;             // "tensorflow" or empty
  std::string framework_version;     // empty: what the index offers
  std::string image;                 // asked for; empty: none
  std::string base_image;            // what `image` was at the creation of the experiment; empty: not known
  std::string rebuild;               // UUID of who wants it built anew; empty: nobody
  CodeInputs code;
  std::vector<std::string> prefix_digests;  // as in Inputs (plan.h)
};

// Thread-safe. A call may read and write disks, but runs no programs of users.
class EnvironmentBackend {
 public:
  virtual ~EnvironmentBackend() = default;

  // Returns the environment: its key and location, READY with a digest or MISSING with a plan, and the reason; or
  // NOT_NEEDED. Equal
  // requests have equal keys; requests of different owners never do. Once a rebuild has made its environment, the same
  // request without `rebuild` gets that one. Errors: FAILED_PRECONDITION if its base is missing, such as the
  // interpreter; UNAVAILABLE; RESOURCE_EXHAUSTED (DISK_FULL).
  virtual absl::StatusOr<internal::v1::Environment> Resolve(const WantedEnvironment& wanted) = 0;

  // Returns the image of a job, as BuilderService.MakeImage says. FAILED_PRECONDITION where environments are
  // directories.
  virtual absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) = 0;

  // Lists all stored environments by key, complete or not.
  virtual absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List() = 0;

  // Removes an environment that nobody uses; does nothing if it is absent. INVALID_ARGUMENT for an invalid key.
  virtual absl::Status Remove(const std::string& key) = 0;
};

}  // namespace riseml::builder
