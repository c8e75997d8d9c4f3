// Everything that builder needs for environments that are images, made from its configuration.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/config/v1/builder.pb.h"
#include "services/builder/environment/backend.h"
#include "services/common/base/clock.h"

namespace riseml::builder {

class ImageParts {
 public:
  virtual ~ImageParts() = default;
  virtual EnvironmentBackend& backend() = 0;
};

// INVALID_ARGUMENT with all that is wrong with `images`.
absl::Status CheckImages(const config::v1::BuilderConfig& config);

// Starts to give tokens to clients of the registry. `gitsync` and `api` lead to their internal listeners.
// INVALID_ARGUMENT for keys that do not belong together; UNAVAILABLE when the address of tokens cannot be listened on.
absl::StatusOr<std::unique_ptr<ImageParts>> StartImages(const config::v1::BuilderConfig& config,
                                                        const std::shared_ptr<grpc::Channel>& gitsync,
                                                        const std::shared_ptr<grpc::Channel>& api, const Clock& clock);

}  // namespace riseml::builder
