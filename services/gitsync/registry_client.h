// The revision registry behind api's internal RPC.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/gitsync/ports.h"

namespace riseml::gitsync {

// Thread-safe. UNAVAILABLE is tried again for a few seconds.
class RegistryClient final : public RevisionRegistry {
 public:
  explicit RegistryClient(const std::shared_ptr<grpc::Channel>& channel);
  absl::StatusOr<ProjectState> Resolve(absl::string_view project, const ResolveOptions& options,
                                       const Author& author) override;
  absl::StatusOr<v1::Revision> Register(const NewRevision& revision) override;

 private:
  std::unique_ptr<internal::v1::RevisionRegistryService::Stub> stub_;
};

}  // namespace riseml::gitsync
