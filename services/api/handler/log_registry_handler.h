// LogRegistryService on the wire, for services.
#pragma once

#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "services/api/data/database.h"
#include "services/api/scheduling/log_store.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/server.h"

namespace riseml::api {

// Thread-safe.
class LogRegistryHandler final : public internal::v1::LogRegistryService::WithCallbackMethod_WatchStreams<
                                     internal::v1::LogRegistryService::Service> {
 public:
  LogRegistryHandler(Database& db, LogStore& logs, rpc::Authenticator& authenticator, Executor& executor)
      : db_(db), logs_(logs), authenticator_(authenticator), executor_(executor) {}  // all outlive this
  grpc::Status ListStreams(grpc::ServerContext*, const internal::v1::ListStreamsRequest*,
                           internal::v1::ListStreamsResponse*) override;
  grpc::Status ReportLogEnd(grpc::ServerContext*, const internal::v1::ReportLogEndRequest*,
                            internal::v1::ReportLogEndResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchStreamsResponse>* WatchStreams(
      grpc::CallbackServerContext*, const internal::v1::WatchStreamsRequest*) override;

 private:
  Database& db_;
  LogStore& logs_;
  rpc::Authenticator& authenticator_;
  Executor& executor_;
};

}  // namespace riseml::api
