// RevisionService on the wire, for users.
#pragma once

#include "riseml/v1/revision.grpc.pb.h"
#include "services/api/code/code_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class RevisionHandler final : public v1::RevisionService::Service {
 public:
  explicit RevisionHandler(CodeStore& code) : code_(code) {}  // `code` outlives this
  grpc::Status GetRevision(grpc::ServerContext*, const v1::GetRevisionRequest*, v1::Revision*) override;
  grpc::Status ListRevisions(grpc::ServerContext*, const v1::ListRevisionsRequest*,
                             v1::ListRevisionsResponse*) override;

 private:
  CodeStore& code_;
};

}  // namespace riseml::api
