#include "services/gitsync/testing/test_server.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/status.h"

namespace riseml::gitsync {
namespace {

// Ends the test program: without the server no test means anything.
template <class T>
T Need(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "start the test server: %s\n", value.status().ToString().c_str());
  std::abort();
}

template <class Request>
Author AuthorOf(const grpc::ServerContext& context, const Request& request) {
  return {UserId{request.caller_uid()}, request.caller_key_id(), request.caller_peer(),
          rpc::CallOf(context, "").request_id};
}

}  // namespace

absl::StatusOr<internal::v1::Caller> FakeAccess::CallerOf(absl::string_view credential) const {
  if (revoked_ || !absl::ConsumeSuffix(&credential, "-key") || (credential != "paul" && credential != "ada"))
    return Error(Reason::kUnauthenticated, "unknown key");
  internal::v1::Caller caller;
  caller.set_kind(internal::v1::Caller::USER);
  caller.set_user(std::string(credential));
  caller.set_user_uid(absl::StrCat("uid-of-", credential));
  caller.set_key_id(absl::StrCat("id-of-", credential));
  caller.set_role(v1::User::USER);
  return caller;
}

grpc::Status FakeAccess::Authenticate(grpc::ServerContext*, const internal::v1::AuthenticateRequest* request,
                                      internal::v1::Caller* response) {
  const auto caller = CallerOf(request->credential());
  if (caller.ok()) *response = *caller;
  return rpc::ToGrpc(caller.status());
}

grpc::Status FakeAccess::Check(grpc::ServerContext*, const internal::v1::CheckRequest* request,
                               internal::v1::CheckResponse* response) {
  const auto caller = CallerOf(request->credential());
  if (!caller.ok()) return rpc::ToGrpc(caller.status());
  const std::vector<std::string> parts = absl::StrSplit(request->resource(), "/revisions/");
  const std::string uid = registry_.UidOf(parts[0]);
  const bool own = absl::StartsWith(request->resource(), absl::StrCat("users/", caller->user(), "/"));
  if (!own || (uid.empty() && request->permission() == internal::v1::CheckRequest::READ))
    return rpc::ToGrpc(Error(Reason::kNotFound, "no such object"));
  *response->mutable_caller() = *caller;
  response->set_uid(uid);
  response->set_name(request->resource());
  return grpc::Status::OK;
}

grpc::Status FakeRegistryService::ResolveProject(grpc::ServerContext* context,
                                                 const internal::v1::ResolveProjectRequest* request,
                                                 internal::v1::ResolveProjectResponse* response) {
  const auto project =
      registry_.Resolve(request->project(), {.create = request->create(), .pack_bytes = request->pack_bytes()},
                        AuthorOf(*context, *request));
  if (!project.ok()) return rpc::ToGrpc(project.status());
  response->set_uid(project->id.value);
  response->set_head(project->head);
  response->set_created(project->created);
  return grpc::Status::OK;
}

grpc::Status FakeRegistryService::RegisterRevision(grpc::ServerContext* context,
                                                   const internal::v1::RegisterRevisionRequest* request,
                                                   v1::Revision* response) {
  const auto revision =
      registry_.Register({ProjectId{request->project_uid()}, request->commit(), request->tree(), request->parent(),
                          request->file_count(), request->total_bytes(), FromProtoDuration(request->snapshot_window()),
                          request->repository_bytes(), AuthorOf(*context, *request)});
  if (revision.ok()) *response = *revision;
  return rpc::ToGrpc(revision.status());
}

TestServer::TestServer(const Limits& limits, const StreamBounds& bounds) : library_(Need(GitLibrary::Start())) {
  absl::Status certificates = MakeDirectories(directory_.File("tls"));
  certificates.Update(rpc::WriteCertificates(directory_.File("tls"), {"api", "gitsync", "builder"}, clock_.Now()));
  Need<bool>(certificates.ok() ? absl::StatusOr<bool>(true) : certificates);

  rpc::ServerOptions api;
  api.kind = rpc::ListenerKind::kInternal;
  api.listener = Listener("api");
  api.services = {&access_service_, &registry_service_};
  api_ = Need(rpc::Server::Start(api));
  const auto to_api = Need(rpc::ServiceChannel(absl::StrCat("127.0.0.1:", api_->port()), ClientTls("gitsync")));

  store_ = Need(RepositoryStore::Open(directory_.File("repositories")));
  authenticator_ = std::make_unique<rpc::RemoteAuthenticator>(to_api, clock_);
  open_calls_ = std::make_unique<rpc::OpenCalls>(*authenticator_, to_api, clock_);
  registry_client_ = std::make_unique<RegistryClient>(to_api);
  pusher_ = std::make_unique<Pusher>(*store_, *registry_client_, limits, clock_);
  streams_ = std::make_unique<StreamGuard>(bounds, clock_);
  file_handler_ = std::make_unique<FileHandler>(
      Services{*store_, *registry_client_, *pusher_, *authenticator_, *open_calls_, *streams_}, limits);
  code_handler_ = std::make_unique<CodeHandler>(*store_, *streams_);

  rpc::ServerOptions user;
  user.kind = rpc::ListenerKind::kUser;
  user.listener = Listener("gitsync");
  user.authenticator = authenticator_.get();
  user.services = {file_handler_.get()};
  user_server_ = Need(rpc::Server::Start(user));
  rpc::ServerOptions internal;
  internal.kind = rpc::ListenerKind::kInternal;
  internal.listener = Listener("gitsync");
  internal.services = {code_handler_.get()};
  internal_server_ = Need(rpc::Server::Start(internal));

  const std::string ca = Need(ReadFile(directory_.File("tls/ca.crt"), 1 << 20));
  files_ = v1::FileService::NewStub(rpc::UserChannel(absl::StrCat("127.0.0.1:", user_server_->port()), ca));
  code_ = internal::v1::CodeService::NewStub(
      Need(rpc::ServiceChannel(absl::StrCat("127.0.0.1:", internal_server_->port()), ClientTls("builder"))));
}

TestServer::~TestServer() {
  user_server_->Shutdown(absl::ZeroDuration());
  internal_server_->Shutdown(absl::ZeroDuration());
  api_->Shutdown(absl::ZeroDuration());
}

std::string TestServer::RepositoryPath(absl::string_view project) const {
  return directory_.File(absl::StrCat("repositories/", registry_.UidOf(project), ".git"));
}

config::v1::ClientTls TestServer::ClientTls(const std::string& name) const {
  config::v1::ClientTls tls;
  tls.set_ca_file(directory_.File("tls/ca.crt"));
  tls.set_certificate_file(directory_.File(absl::StrCat("tls/", name, ".crt")));
  tls.set_key_file(directory_.File(absl::StrCat("tls/", name, ".key")));
  return tls;
}

config::v1::Listener TestServer::Listener(const std::string& name) const {
  config::v1::Listener listener;
  listener.set_address("127.0.0.1:0");
  listener.set_certificate_file(directory_.File(absl::StrCat("tls/", name, ".crt")));
  listener.set_key_file(directory_.File(absl::StrCat("tls/", name, ".key")));
  listener.set_client_ca_file(directory_.File("tls/ca.crt"));
  return listener;
}

}  // namespace riseml::gitsync
