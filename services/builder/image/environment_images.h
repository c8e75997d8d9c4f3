// Images of environments in the installation's registry: USER/environments:KEY, where USER and KEY are the owner's UUID
// and the environment's key.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/image/image_maker.h"
#include "services/common/oci/manifest.h"
#include "services/common/oci/registry.h"

namespace riseml::builder {

// Thread-safe. Errors of all calls: those of Registry.
class EnvironmentImages {
 public:
  // `registry` must outlive this object.
  explicit EnvironmentImages(oci::Registry& registry);

  const std::string& host() const { return registry_.host(); }
  static std::string RepositoryOf(absl::string_view owner_uid);

  // Returns the manifest of an environment. NOT_FOUND if it has not been built.
  absl::StatusOr<oci::Descriptor> Find(const std::string& owner_uid, const std::string& key,
                                       const std::stop_token& stop = {});

  // Returns the key of the environment to use for `base`: the one that was rebuilt last, otherwise `base`.
  absl::StatusOr<std::string> NewestOf(const std::string& owner_uid, const std::string& base);
  // Makes the environment `key`, which exists, replace the one with the key `base`, unless a newer one does so already.
  absl::Status SetNewest(const std::string& owner_uid, const std::string& base, const std::string& key);

  // Lists the environments of all users by key. Leaves out those that vanish meanwhile.
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List();
  // Removes an environment and the images of jobs that have it as their base; does nothing if it is absent.
  // INVALID_ARGUMENT for an invalid key.
  absl::Status Remove(const std::string& key);

 private:
  // What an image itself says, which never changes.
  struct Facts {
    std::string key;
    absl::Time created;
    std::int64_t bytes = 0;  // compressed
  };
  absl::StatusOr<Facts> FactsOf(const std::string& repository, const std::string& digest);
  // Removes the images of one repository that have the environment as their base.
  absl::Status RemoveImagesOf(const std::string& key, const std::string& repository);

  oci::Registry& registry_;
  Recent<Facts> facts_;  // by digest
};

}  // namespace riseml::builder
