// riseml.v1.FileService.
#pragma once

#include "riseml/v1/file.grpc.pb.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/open_calls.h"
#include "services/common/rpc/remote_authenticator.h"
#include "services/gitsync/limits.h"
#include "services/gitsync/ports.h"
#include "services/gitsync/push.h"
#include "services/gitsync/repository/repository_store.h"
#include "services/gitsync/stream_guard.h"

namespace riseml::gitsync {

// Dependencies of the handlers; all must outlive them.
struct Services {
  RepositoryStore& store;
  RevisionRegistry& registry;
  Pusher& pusher;
  rpc::RemoteAuthenticator& access;
  rpc::OpenCalls& open_calls;
  StreamGuard& streams;
};

// Thread-safe.
class FileHandler final : public v1::FileService::Service {
 public:
  FileHandler(const Services& services, const Limits& limits) : services_(services), limits_(limits) {}

  grpc::Status GetLimits(grpc::ServerContext* context, const v1::GetLimitsRequest* request,
                         v1::Limits* response) override;
  grpc::Status FindMissing(grpc::ServerContext* context, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* response) override;
  grpc::Status Push(grpc::ServerContext* context, grpc::ServerReader<v1::PushRequest>* reader,
                    v1::PushResponse* response) override;
  grpc::Status GetArchive(grpc::ServerContext* context, const v1::GetArchiveRequest* request,
                          grpc::ServerWriter<v1::GetArchiveResponse>* writer) override;

 private:
  absl::StatusOr<v1::FindMissingResponse> DoFindMissing(const rpc::Call& call, const v1::FindMissingRequest& request);
  absl::StatusOr<v1::PushResponse> DoPush(const rpc::Call& call, grpc::ServerContext* context,
                                          grpc::ServerReader<v1::PushRequest>* reader);
  absl::Status DoGetArchive(const rpc::Call& call, grpc::ServerContext* context, const v1::GetArchiveRequest& request,
                            grpc::ServerWriter<v1::GetArchiveResponse>* writer);

  const Services services_;
  const Limits limits_;
};

}  // namespace riseml::gitsync
