#include "services/api/handler/log_registry_handler.h"

#include "services/api/handler/on_behalf_of.h"
#include "services/api/watch/watchers.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {

grpc::Status LogRegistryHandler::ListStreams(grpc::ServerContext* context,
                                             const internal::v1::ListStreamsRequest* request,
                                             internal::v1::ListStreamsResponse* response) {
  return rpc::Unary(
      context, "riseml.internal.v1.LogRegistryService/ListStreams", [&](const rpc::Call& call) -> absl::Status {
        RISEML_ASSIGN_OR_RETURN(const rpc::Call as_user, OnBehalfOf(call, authenticator_, request->credential()));
        return rpc::Answer(logs_.ListStreams(as_user, *request), response);
      });
}

grpc::Status LogRegistryHandler::ReportLogEnd(grpc::ServerContext* context,
                                              const internal::v1::ReportLogEndRequest* request,
                                              internal::v1::ReportLogEndResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.LogRegistryService/ReportLogEnd",
                    [&](const rpc::Call&) { return logs_.ReportEnd(*request); });
}

grpc::ServerWriteReactor<internal::v1::WatchStreamsResponse>* LogRegistryHandler::WatchStreams(
    grpc::CallbackServerContext*, const internal::v1::WatchStreamsRequest* request) {
  return Watch<internal::v1::WatchStreamsResponse>::Start(db_.feed(), executor_, StreamWatcher(db_, *request));
}

}  // namespace riseml::api
