// Base images: what the name in riseml.yml means today, in the registry that it names.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/oci/credentials.h"
#include "services/common/oci/http.h"
#include "services/common/oci/manifest.h"
#include "services/common/oci/reference.h"
#include "services/common/oci/registry.h"

namespace riseml::builder {

// Registries that base images may come from. Hosts are written as in names of images, with a port if there is one.
struct RegistryPolicy {
  std::set<std::string> allowed;                        // empty: all
  std::set<std::string> without_tls;                    // called by plain HTTP
  std::map<std::string, std::set<std::string>> realms;  // further authorization servers of a registry
};

struct BaseImage {
  oci::ImageReference reference;  // with the digest of the manifest for the platform
  std::int64_t bytes = 0;         // of all layers, compressed
  std::size_t layers = 0;
};

// Thread-safe. `http` decides which addresses may be called.
class BaseImages {
 public:
  // Time that a user waits for the registry at most. Must be less than api waits for builder.
  static constexpr absl::Duration kLongestSearch = absl::Seconds(15);

  // All must outlive this object. `own` is the installation's registry, which is allowed anyway; null: none.
  BaseImages(oci::HttpTransport& http, const Clock& clock, RegistryPolicy policy, oci::Platform platform,
             oci::Registry* own = nullptr, absl::Duration longest_search = kLongestSearch);

  // Returns the image for the platform. `credential` is for the registry that the name is of; null: none. Errors, each
  // with the name of the image: INVALID_ARGUMENT for a wrong name, and for what is not an image that Linux can run;
  // PERMISSION_DENIED for a registry that is not allowed, or refuses; NOT_FOUND without the image or the platform;
  // FAILED_PRECONDITION for a registry that wants a password, and for one that is busy, away or too slow after all
  // tries; UNAVAILABLE while `own` is away.
  absl::StatusOr<BaseImage> Resolve(absl::string_view name, const oci::Credential* credential,
                                    const std::stop_token& stop = {});

  // Client of a registry. PERMISSION_DENIED if it is not allowed.
  absl::StatusOr<std::shared_ptr<oci::Registry>> Connect(const std::string& host, const oci::Credential* credential);

 private:
  oci::HttpTransport& http_;
  const Clock& clock_;
  const RegistryPolicy policy_;
  const oci::Platform platform_;
  oci::Registry* const own_;
  const absl::Duration longest_search_;
  Mutex mu_;
  std::map<std::string, std::shared_ptr<oci::Registry>> anonymous_ ABSL_GUARDED_BY(mu_);  // by host; keep their tokens
};

}  // namespace riseml::builder
