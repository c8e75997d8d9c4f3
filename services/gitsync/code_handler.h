// riseml.internal.v1.CodeService.
#pragma once

#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/common/rpc/call.h"
#include "services/gitsync/repository/repository_store.h"
#include "services/gitsync/stream_guard.h"

namespace riseml::gitsync {

// Thread-safe. The callers are services. Whoever gives them the ids decides which job may read which code.
class CodeHandler final : public internal::v1::CodeService::Service {
 public:
  // Both outlive this.
  CodeHandler(const RepositoryStore& store, StreamGuard& streams) : store_(store), streams_(streams) {}

  grpc::Status GetCode(grpc::ServerContext* context, const internal::v1::GetCodeRequest* request,
                       grpc::ServerWriter<internal::v1::GetCodeResponse>* writer) override;
  grpc::Status ReadEntries(grpc::ServerContext* context, const internal::v1::ReadEntriesRequest* request,
                           internal::v1::ReadEntriesResponse* response) override;
  grpc::Status ListCodeLayers(grpc::ServerContext* context, const internal::v1::ListCodeLayersRequest* request,
                              internal::v1::ListCodeLayersResponse* response) override;
  grpc::Status GetCodeLayer(grpc::ServerContext* context, const internal::v1::GetCodeLayerRequest* request,
                            grpc::ServerWriter<internal::v1::GetCodeLayerResponse>* writer) override;

 private:
  const RepositoryStore& store_;
  StreamGuard& streams_;
};

}  // namespace riseml::gitsync
