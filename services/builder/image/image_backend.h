// Environments that are images of the installation's registry.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/builder/environment/backend.h"
#include "services/builder/environment/history.h"
#include "services/builder/image/base_images.h"
#include "services/builder/image/environment_images.h"
#include "services/builder/image/image_maker.h"
#include "services/builder/image/image_plan.h"
#include "services/builder/image/registry_tokens.h"

namespace riseml::builder {

struct ImageSettings {
  std::string default_image;     // base of experiments that name none and have no framework
  std::string environments_dir;  // holds the records of what projects have used
  RegistryPolicy policy;         // of base images
  bool plain_http = false;       // the installation's registry is called without TLS
  bool steps_without_network = false;
};

// Returns the credential of a user for a registry; absent if there is none. UNAVAILABLE while api is away.
using FindCredential = std::function<absl::StatusOr<std::optional<oci::Credential>>(const std::string& owner_uid,
                                                                                    const std::string& host)>;

class ImageBackend final : public EnvironmentBackend {
 public:
  // All must outlive this object.
  struct Parts {
    BaseImages& bases;
    EnvironmentImages& environments;
    ImageMaker& maker;
    const RegistryTokens& tokens;
    FindCredential find_credential;
  };
  ImageBackend(ImageSettings settings, Parts parts);

  // Removes the records of environments that were not used for long. Called once, at the start.
  void Sweep(absl::Time now) { history_.Forget(now); }

  absl::StatusOr<internal::v1::Environment> Resolve(const WantedEnvironment& wanted) override;
  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) override;
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List() override { return parts_.environments.List(); }
  absl::Status Remove(const std::string& key) override { return parts_.environments.Remove(key); }

 private:
  // True for an image of the installation's registry.
  bool IsOwn(const oci::ImageReference& image) const { return image.registry == parts_.environments.host(); }
  absl::StatusOr<oci::ImageReference> BaseOf(const WantedEnvironment& wanted);
  absl::Status FillMissing(const WantedEnvironment& wanted, ImageInputs inputs, internal::v1::Environment& environment);

  const ImageSettings settings_;
  const Parts parts_;
  History history_;
};

}  // namespace riseml::builder
