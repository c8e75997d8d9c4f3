#include "services/gitsync/code_handler.h"

#include <algorithm>
#include <string>
#include <vector>

#include "services/common/base/status_macros.h"
#include "services/gitsync/archive.h"
#include "services/gitsync/code_layers.h"
#include "services/gitsync/entries.h"

namespace riseml::gitsync {
namespace {

// Sends a stream of bytes. Waiting for the client counts against its slot.
template <class Response>
ByteSink SendTo(grpc::ServerWriter<Response>* writer, StreamGuard::Slot& slot) {
  return [writer, &slot](absl::string_view bytes) -> absl::Status {
    Response response;
    response.set_data(std::string(bytes));
    slot.BeginWait();
    const bool written = writer->Write(response);
    slot.EndWait(bytes.size());
    return written ? absl::OkStatus()
                   : absl::CancelledError("the client went away, or read hardly anything for too long");
  };
}

}  // namespace

grpc::Status CodeHandler::GetCode(grpc::ServerContext* context, const internal::v1::GetCodeRequest* request,
                                  grpc::ServerWriter<internal::v1::GetCodeResponse>* writer) {
  return rpc::Unary(context, "riseml.internal.v1.CodeService/GetCode", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(StreamGuard::Slot slot,
                            streams_.Enter(call.caller.service(), [context] { context->TryCancel(); }));
    RISEML_ASSIGN_OR_RETURN(const Repository repository, store_.OpenRepository(ProjectId{request->project_uid()}));
    return WriteArchive(repository, request->commit(), SendTo(writer, slot));
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

grpc::Status CodeHandler::ListCodeLayers(grpc::ServerContext* context,
                                         const internal::v1::ListCodeLayersRequest* request,
                                         internal::v1::ListCodeLayersResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.CodeService/ListCodeLayers", [&](const rpc::Call&) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const Repository repository, store_.OpenRepository(ProjectId{request->project_uid()}));
    RISEML_ASSIGN_OR_RETURN(const CommitInfo commit, FindCommit(repository, request->commit()));
    RISEML_ASSIGN_OR_RETURN(const std::vector<CodeLayer> layers, DivideCode(repository.objects(), commit.tree));
    for (const CodeLayer& layer : layers) {
      internal::v1::CodeLayer& out = *response->add_layers();
      out.mutable_directories()->Assign(layer.directories.begin(), layer.directories.end());
      out.mutable_except()->Assign(layer.except.begin(), layer.except.end());
      out.set_id(layer.id);
      out.set_files(layer.files);
      out.set_bytes(layer.bytes);
    }
    return absl::OkStatus();
  });
}

grpc::Status CodeHandler::GetCodeLayer(grpc::ServerContext* context, const internal::v1::GetCodeLayerRequest* request,
                                       grpc::ServerWriter<internal::v1::GetCodeLayerResponse>* writer) {
  return rpc::Unary(context, "riseml.internal.v1.CodeService/GetCodeLayer", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(StreamGuard::Slot slot,
                            streams_.Enter(call.caller.service(), [context] { context->TryCancel(); }));
    RISEML_ASSIGN_OR_RETURN(const Repository repository, store_.OpenRepository(ProjectId{request->project_uid()}));
    RISEML_ASSIGN_OR_RETURN(const CommitInfo commit, FindCommit(repository, request->commit()));
    CodeLayer layer{.directories = {request->layer().directories().begin(), request->layer().directories().end()},
                    .except = {request->layer().except().begin(), request->layer().except().end()}};
    std::sort(layer.except.begin(), layer.except.end());
    return WriteCodeLayer(repository.objects(), commit.tree, layer, SendTo(writer, slot));
  });
}

}  // namespace riseml::gitsync
