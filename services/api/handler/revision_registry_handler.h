// RevisionRegistryService on the wire, for services.
#pragma once

#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/api/code/code_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class RevisionRegistryHandler final : public internal::v1::RevisionRegistryService::Service {
 public:
  explicit RevisionRegistryHandler(CodeStore& code) : code_(code) {}  // `code` outlives this
  grpc::Status ResolveProject(grpc::ServerContext*, const internal::v1::ResolveProjectRequest*,
                              internal::v1::ResolveProjectResponse*) override;
  grpc::Status RegisterRevision(grpc::ServerContext*, const internal::v1::RegisterRevisionRequest*,
                                v1::Revision*) override;

 private:
  CodeStore& code_;
};

}  // namespace riseml::api
