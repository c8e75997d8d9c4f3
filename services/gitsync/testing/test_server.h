// gitsync with its real listeners (TLS, loopback) and an api in memory, for tests.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>

#include "riseml/internal/v1/access.grpc.pb.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "riseml/v1/file.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/remote_authenticator.h"
#include "services/common/rpc/server.h"
#include "services/gitsync/code_handler.h"
#include "services/gitsync/file_handler.h"
#include "services/gitsync/registry_client.h"
#include "services/gitsync/testing/fake_registry.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::gitsync {

// AccessService of two users, "paul" and "ada", whose keys are "paul-key" and "ada-key"; each may touch what is below
// his name.
class FakeAccess final : public internal::v1::AccessService::Service {
 public:
  explicit FakeAccess(const FakeRegistry& registry) : registry_(registry) {}
  grpc::Status Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest* request,
                            internal::v1::Caller* response) override;
  grpc::Status Check(grpc::ServerContext* context, const internal::v1::CheckRequest* request,
                     internal::v1::CheckResponse* response) override;
  // Makes the server refuse both keys from now on.
  void RevokeKeys() { revoked_ = true; }

 private:
  absl::StatusOr<internal::v1::Caller> CallerOf(absl::string_view credential) const;
  const FakeRegistry& registry_;
  std::atomic<bool> revoked_ = false;
};

// RevisionRegistryService over the registry in memory.
class FakeRegistryService final : public internal::v1::RevisionRegistryService::Service {
 public:
  explicit FakeRegistryService(FakeRegistry& registry) : registry_(registry) {}
  grpc::Status ResolveProject(grpc::ServerContext* context, const internal::v1::ResolveProjectRequest* request,
                              internal::v1::ResolveProjectResponse* response) override;
  grpc::Status RegisterRevision(grpc::ServerContext* context, const internal::v1::RegisterRevisionRequest* request,
                                v1::Revision* response) override;

 private:
  FakeRegistry& registry_;
};

class TestServer {
 public:
  explicit TestServer(const Limits& limits = {}, const StreamBounds& bounds = {});
  ~TestServer();

  FakeRegistry& registry() { return registry_; }
  FakeAccess& access() { return access_service_; }
  // Stub for the user listener.
  v1::FileService::StubInterface& files() { return *files_; }
  // Stub for the internal listener, with the builder's certificate.
  internal::v1::CodeService::StubInterface& code() { return *code_; }
  std::string RepositoryPath(absl::string_view project) const;
  const TestDirectory& directory() const { return directory_; }

 private:
  config::v1::ClientTls ClientTls(const std::string& name) const;
  config::v1::Listener Listener(const std::string& name) const;

  TestDirectory directory_;
  SystemClock clock_;
  std::unique_ptr<GitLibrary> library_;
  FakeRegistry registry_;
  FakeAccess access_service_{registry_};
  FakeRegistryService registry_service_{registry_};
  std::unique_ptr<rpc::Server> api_;

  std::unique_ptr<RepositoryStore> store_;
  std::unique_ptr<rpc::RemoteAuthenticator> authenticator_;
  std::unique_ptr<rpc::OpenCalls> open_calls_;
  std::unique_ptr<RegistryClient> registry_client_;
  std::unique_ptr<Pusher> pusher_;
  std::unique_ptr<StreamGuard> streams_;
  std::unique_ptr<FileHandler> file_handler_;
  std::unique_ptr<CodeHandler> code_handler_;
  std::unique_ptr<rpc::Server> user_server_;
  std::unique_ptr<rpc::Server> internal_server_;
  std::unique_ptr<v1::FileService::Stub> files_;
  std::unique_ptr<internal::v1::CodeService::Stub> code_;
};

}  // namespace riseml::gitsync
