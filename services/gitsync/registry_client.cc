#include "services/gitsync/registry_client.h"

#include <utility>

#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::gitsync {
namespace {

template <class Request>
void SetCaller(const Author& author, Request* request) {
  request->set_caller_uid(author.user.value);
  request->set_caller_key_id(author.key_id);
  request->set_caller_peer(author.peer);
}

}  // namespace

RegistryClient::RegistryClient(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(internal::v1::RevisionRegistryService::NewStub(channel)) {}

absl::StatusOr<ProjectState> RegistryClient::Resolve(absl::string_view project, const ResolveOptions& options,
                                                     const Author& author) {
  internal::v1::ResolveProjectRequest request;
  request.set_project(std::string(project));
  request.set_create(options.create);
  request.set_pack_bytes(options.pack_bytes);
  SetCaller(author, &request);
  auto response = rpc::Invoke<internal::v1::ResolveProjectResponse>(
      [&](auto* context, auto* out) { return stub_->ResolveProject(context, request, out); },
      {.request_id = author.request_id});
  // Adds no prefix, so that the caller gets NOT_FOUND in api's words.
  RISEML_RETURN_IF_ERROR(response.status());
  if (!IsUuid(response->uid())) return absl::InternalError("api answered ResolveProject without a project's UUID");
  return ProjectState{ProjectId{response->uid()}, response->head(), response->created()};
}

absl::StatusOr<v1::Revision> RegistryClient::Register(const NewRevision& revision) {
  internal::v1::RegisterRevisionRequest request;
  request.set_project_uid(revision.project.value);
  request.set_commit(revision.commit);
  request.set_tree(revision.tree);
  request.set_parent(revision.parent);
  request.set_file_count(revision.file_count);
  request.set_total_bytes(revision.total_bytes);
  *request.mutable_snapshot_window() = ToProtoDuration(revision.snapshot_window);
  request.set_repository_bytes(revision.repository_bytes);
  SetCaller(revision.author, &request);
  return rpc::Invoke<v1::Revision>(
      [&](auto* context, auto* out) { return stub_->RegisterRevision(context, request, out); },
      {.request_id = revision.author.request_id});
}

}  // namespace riseml::gitsync
