#include "services/gitsync/code_handler.h"

#include <string>
#include <vector>

#include "services/common/base/status_macros.h"
#include "services/gitsync/archive.h"
#include "services/gitsync/entries.h"

namespace riseml::gitsync {

grpc::Status CodeHandler::GetCode(grpc::ServerContext* context, const internal::v1::GetCodeRequest* request,
                                  grpc::ServerWriter<internal::v1::GetCodeResponse>* writer) {
  return rpc::Unary(context, "riseml.internal.v1.CodeService/GetCode", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(StreamGuard::Slot slot,
                            streams_.Enter(call.caller.service(), [context] { context->TryCancel(); }));
    RISEML_ASSIGN_OR_RETURN(const Repository repository, store_.OpenRepository(ProjectId{request->project_uid()}));
    return WriteArchive(repository, request->commit(), [&](absl::string_view bytes) -> absl::Status {
      internal::v1::GetCodeResponse response;
      response.set_data(std::string(bytes));
      slot.BeginWait();
      const bool written = writer->Write(response);
      slot.EndWait(bytes.size());
      return written ? absl::OkStatus()
                     : absl::CancelledError("the client went away, or read hardly anything for too long");
    });
  });
}

grpc::Status CodeHandler::ReadEntries(grpc::ServerContext* context, const internal::v1::ReadEntriesRequest* request,
                                      internal::v1::ReadEntriesResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.CodeService/ReadEntries", [&](const rpc::Call&) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const Repository repository, store_.OpenRepository(ProjectId{request->project_uid()}));
    const std::vector<std::string> paths(request->paths().begin(), request->paths().end());
    return rpc::Answer(gitsync::ReadEntries(repository, request->commit(), paths), response);
  });
}

}  // namespace riseml::gitsync
