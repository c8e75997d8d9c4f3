#include "services/gitsync/file_handler.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/archive.h"

namespace riseml::gitsync {
namespace {

using internal::v1::CheckRequest;
using internal::v1::CheckResponse;

Author AuthorOf(const rpc::Call& call) {
  return {UserId{call.caller.user_uid()}, call.caller.key_id(), call.peer, call.request_id};
}

absl::Status Cancelled() { return absl::CancelledError("the client went away, or moved hardly anything for too long"); }

// Waits for the next part of a push. Returns false at the end of the stream.
bool ReadPart(grpc::ServerReader<v1::PushRequest>& reader, StreamGuard::Slot& slot, v1::PushRequest* request) {
  slot.BeginWait();
  const bool read = reader.Read(request);
  slot.EndWait(read ? request->ByteSizeLong() : 0);
  return read;
}

}  // namespace

grpc::Status FileHandler::GetLimits(grpc::ServerContext* context, const v1::GetLimitsRequest*, v1::Limits* response) {
  return rpc::Unary(context, "riseml.v1.FileService/GetLimits", [&](const rpc::Call&) -> absl::Status {
    response->set_revision_bytes(limits_.revision_bytes);
    response->set_file_bytes(limits_.file_bytes);
    response->set_files(limits_.files);
    return absl::OkStatus();
  });
}

grpc::Status FileHandler::FindMissing(grpc::ServerContext* context, const v1::FindMissingRequest* request,
                                      v1::FindMissingResponse* response) {
  return rpc::Unary(context, "riseml.v1.FileService/FindMissing", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(*response, DoFindMissing(call, *request));
    return absl::OkStatus();
  });
}

grpc::Status FileHandler::Push(grpc::ServerContext* context, grpc::ServerReader<v1::PushRequest>* reader,
                               v1::PushResponse* response) {
  return rpc::Unary(context, "riseml.v1.FileService/Push", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(*response, DoPush(call, context, reader));
    return absl::OkStatus();
  });
}

grpc::Status FileHandler::GetArchive(grpc::ServerContext* context, const v1::GetArchiveRequest* request,
                                     grpc::ServerWriter<v1::GetArchiveResponse>* writer) {
  return rpc::Unary(context, "riseml.v1.FileService/GetArchive",
                    [&](const rpc::Call& call) { return DoGetArchive(call, context, *request, writer); });
}

absl::StatusOr<v1::FindMissingResponse> FileHandler::DoFindMissing(const rpc::Call& call,
                                                                   const v1::FindMissingRequest& request) {
  if (request.oids_size() > kMaxIdsPerCall)
    return LimitExceeded(absl::StrCat("at most ", kMaxIdsPerCall, " ids a call"), kMaxIdsPerCall, request.oids_size());
  for (const std::string& id : request.oids())
    if (!git::FromRaw(id)) return Error(Reason::kInvalidArgument, "an id is not 20 bytes long");
  RISEML_RETURN_IF_ERROR(ParseProjectName(request.project()).status());
  RISEML_ASSIGN_OR_RETURN(const CheckResponse found,
                          services_.access.Check(call.credential, CheckRequest::WRITE, request.project()));

  v1::FindMissingResponse response;
  if (found.uid().empty()) {
    *response.mutable_missing() = request.oids();
    return response;
  }
  RISEML_ASSIGN_OR_RETURN(const ProjectState project, services_.registry.Resolve(found.name(), {}, AuthorOf(call)));
  response.set_head(project.head);
  const absl::StatusOr<Repository> repository = services_.store.OpenRepository(project.id);
  if (!repository.ok() && !HasReason(repository.status(), Reason::kNotFound)) return repository.status();
  for (const std::string& id : request.oids())
    if (!repository.ok() || !repository->objects().Has(*git::FromRaw(id))) response.add_missing(id);
  return response;
}

absl::StatusOr<v1::PushResponse> FileHandler::DoPush(const rpc::Call& call, grpc::ServerContext* context,
                                                     grpc::ServerReader<v1::PushRequest>* reader) {
  RISEML_ASSIGN_OR_RETURN(StreamGuard::Slot slot,
                          services_.streams.Enter(call.caller.user_uid(), [context] { context->TryCancel(); }));
  v1::PushRequest request;
  if (!ReadPart(*reader, slot, &request) || !request.has_header())
    return Error(Reason::kInvalidArgument, "a push begins with a header");
  RISEML_RETURN_IF_ERROR(ParseProjectName(request.header().project()).status());
  const rpc::OpenCalls::Handle open = services_.open_calls.Enter(call, {.cancel = [context] { context->TryCancel(); }});
  RISEML_ASSIGN_OR_RETURN(const CheckResponse found,
                          services_.access.Check(call.credential, CheckRequest::WRITE, request.header().project()));
  const PushTarget target{found.name(), ProjectId{found.uid()}, call.caller.user(), AuthorOf(call)};
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<PushSession> session, services_.pusher.Begin(request.header(), target));
  while (!session->is_known() && ReadPart(*reader, slot, &request)) {
    RISEML_RETURN_IF_ERROR(open.status());
    if (!request.has_frame()) return Error(Reason::kInvalidArgument, "after the header of a push come frames only");
    RISEML_RETURN_IF_ERROR(session->Add(request.frame()));
  }
  RISEML_RETURN_IF_ERROR(open.status());
  // An interrupted stream ends like a complete one.
  if (context->IsCancelled()) return Cancelled();
  return session->Finish();
}

absl::Status FileHandler::DoGetArchive(const rpc::Call& call, grpc::ServerContext* context,
                                       const v1::GetArchiveRequest& request,
                                       grpc::ServerWriter<v1::GetArchiveResponse>* writer) {
  RISEML_ASSIGN_OR_RETURN(const RevisionName name, ParseRevisionName(request.revision()));
  // Comes first, so that a transfer over the bound costs api nothing.
  RISEML_ASSIGN_OR_RETURN(StreamGuard::Slot slot,
                          services_.streams.Enter(call.caller.user_uid(), [context] { context->TryCancel(); }));
  const rpc::OpenCalls::Handle open = services_.open_calls.Enter(call, {.cancel = [context] { context->TryCancel(); }});
  RISEML_ASSIGN_OR_RETURN(const CheckResponse found,
                          services_.access.Check(call.credential, CheckRequest::READ, request.revision()));
  RISEML_ASSIGN_OR_RETURN(const Repository repository, services_.store.OpenRepository(ProjectId{found.uid()}));
  return WriteArchive(repository, name.commit, [&](absl::string_view bytes) -> absl::Status {
    RISEML_RETURN_IF_ERROR(open.status());
    v1::GetArchiveResponse response;
    response.set_data(std::string(bytes));
    slot.BeginWait();
    const bool written = writer->Write(response);
    slot.EndWait(bytes.size());
    if (!written) return open.status().ok() ? Cancelled() : open.status();
    return absl::OkStatus();
  });
}

}  // namespace riseml::gitsync
