#include "cli/testing/fake_cluster.h"

#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/experiment_state.h"
#include "cli/render/state.h"
#include "cli/testing/fake_experiments.h"
#include "riseml/v1/cluster.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/file.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/log.grpc.pb.h"
#include "riseml/v1/node.grpc.pb.h"
#include "riseml/v1/project.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/status.h"

namespace riseml::cli {
namespace {

constexpr char kCommit[] = "0123456789012345678901234567890123456789";
constexpr char kTree[] = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";

[[noreturn]] void Die(const absl::Status& status) {
  std::cerr << "fake cluster: " << status << "\n";
  std::abort();
}

}  // namespace

class FakeUsers final : public v1::UserService::Service {
 public:
  explicit FakeUsers(FakeContent& content) : content_(content) {}
  grpc::Status GetCaller(grpc::ServerContext* context, const v1::GetCallerRequest*, v1::User* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/GetCaller", [&](const rpc::Call& call) {
      MutexLock lock(content_.mu_);
      if (content_.refused_callers_ > 0) {
        --content_.refused_callers_;
        return absl::UnavailableError("failed to connect: Connection refused");
      }
      *out = UserOf(call.caller.user());
      return absl::OkStatus();
    });
  }
  grpc::Status ListUsers(grpc::ServerContext* context, const v1::ListUsersRequest*,
                         v1::ListUsersResponse* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/ListUsers", [&](const rpc::Call&) {
      *out->add_users() = UserOf("anna");
      *out->add_users() = UserOf("paul");
      return absl::OkStatus();
    });
  }
  grpc::Status GetUser(grpc::ServerContext* context, const v1::GetUserRequest* request, v1::User* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/GetUser", [&](const rpc::Call&) {
      if (request->name() != "users/paul") return NotFound();
      *out = UserOf("paul");
      return absl::OkStatus();
    });
  }
  grpc::Status CreateUser(grpc::ServerContext* context, const v1::CreateUserRequest* request,
                          v1::CreateUserResponse* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/CreateUser", [&](const rpc::Call&) {
      *out->mutable_user() = UserOf(request->user_id());
      out->mutable_user()->set_email(request->email());
      out->set_api_key("rml_shown_once");
      return absl::OkStatus();
    });
  }
  grpc::Status UpdateUser(grpc::ServerContext* context, const v1::UpdateUserRequest* request, v1::User* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/UpdateUser", [&](const rpc::Call&) {
      out->set_name(request->name());
      out->set_email(request->email());
      return absl::OkStatus();
    });
  }
  grpc::Status DisableUser(grpc::ServerContext* context, const v1::DisableUserRequest* request,
                           v1::User* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/DisableUser", [&](const rpc::Call&) {
      out->set_name(request->name());
      return absl::OkStatus();
    });
  }
  grpc::Status RotateApiKey(grpc::ServerContext* context, const v1::RotateApiKeyRequest*,
                            v1::RotateApiKeyResponse* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/RotateApiKey", [&](const rpc::Call&) {
      out->set_api_key("rml_rotated");
      return absl::OkStatus();
    });
  }

 private:
  FakeContent& content_;

  static v1::User UserOf(const std::string& name) {
    v1::User user;
    user.set_name(absl::StrCat("users/", name));
    user.set_email(absl::StrCat(name, "@example.org"));
    user.set_role(v1::User::ADMIN);
    user.set_enabled(true);
    user.set_stored_bytes(13'207'000'000);
    user.set_stored_bytes_limit(std::int64_t{500} << 30);
    user.set_experiment_count(1204);
    user.set_experiment_limit(100'000);
    v1::ApiKey* key = user.add_api_keys();
    key->set_id("k1");
    key->set_prefix("rml_k1");
    key->mutable_create_time()->set_seconds(1'700'000'000);
    return user;
  }
};

class FakeProjects final : public v1::ProjectService::Service {
 public:
  explicit FakeProjects(FakeContent& content) : content_(content) {}
  grpc::Status GetProject(grpc::ServerContext* context, const v1::GetProjectRequest* request,
                          v1::Project* out) override {
    return rpc::Unary(context, "riseml.v1.ProjectService/GetProject", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto found = content_.projects_.find(request->name());
      if (found == content_.projects_.end()) return NotFound();
      *out = found->second;
      return absl::OkStatus();
    });
  }
  grpc::Status ListProjects(grpc::ServerContext* context, const v1::ListProjectsRequest* request,
                            v1::ListProjectsResponse* out) override {
    return rpc::Unary(context, "riseml.v1.ProjectService/ListProjects", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      for (const auto& [name, project] : content_.projects_)
        if (request->parent() == "users/-" || absl::StartsWith(name, absl::StrCat(request->parent(), "/")))
          *out->add_projects() = project;
      return absl::OkStatus();
    });
  }
  // Refuses while there are experiments of the project.
  grpc::Status DeleteProject(grpc::ServerContext* context, const v1::DeleteProjectRequest* request,
                             v1::DeleteProjectResponse*) override {
    return rpc::Unary(context, "riseml.v1.ProjectService/DeleteProject", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      for (const auto& [name, experiment] : content_.experiments_)
        if (experiment.project() == request->name())
          return Error(Reason::kInUse, "project census has 1 experiment; delete it first: riseml rm 14");
      if (content_.projects_.erase(request->name()) == 0) return NotFound();
      content_.deleted_.push_back(request->name());
      return absl::OkStatus();
    });
  }

 private:
  FakeContent& content_;
};

namespace {

class FakeClusters final : public v1::ClusterService::Service {
 public:
  explicit FakeClusters(FakeContent& content) : content_(content) {}
  grpc::Status GetClusterInfo(grpc::ServerContext* context, const v1::GetClusterInfoRequest*,
                              v1::ClusterInfo* out) override {
    return rpc::Unary(context, "riseml.v1.ClusterService/GetClusterInfo", [&](const rpc::Call&) {
      *out = content_.cluster();
      return absl::OkStatus();
    });
  }

 private:
  FakeContent& content_;
};

// Has no node at the first look, as an installation that has just been started.
class FakeNodes final : public v1::NodeService::Service {
 public:
  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest*,
                         v1::ListNodesResponse* out) override {
    return rpc::Unary(context, "riseml.v1.NodeService/ListNodes", [&](const rpc::Call&) {
      if (!asked_.exchange(true)) return absl::OkStatus();
      v1::Node* node = out->add_nodes();
      node->set_name("nodes/worker1");
      node->set_ready(true);
      node->set_cpus(32);
      node->set_memory_bytes(std::int64_t{64} << 30);
      return absl::OkStatus();
    });
  }

 private:
  std::atomic<bool> asked_ = false;
};

class FakeFiles final : public v1::FileService::Service {
 public:
  grpc::Status GetLimits(grpc::ServerContext* context, const v1::GetLimitsRequest*, v1::Limits* out) override {
    return rpc::Unary(context, "riseml.v1.FileService/GetLimits", [&](const rpc::Call&) {
      out->set_revision_bytes(500 << 20);
      out->set_file_bytes(100 << 20);
      out->set_files(200'000);
      return absl::OkStatus();
    });
  }
  grpc::Status FindMissing(grpc::ServerContext* context, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* out) override {
    return rpc::Unary(context, "riseml.v1.FileService/FindMissing", [&](const rpc::Call&) {
      *out->mutable_missing() = request->oids();
      return absl::OkStatus();
    });
  }
  grpc::Status Push(grpc::ServerContext* context, grpc::ServerReader<v1::PushRequest>* reader,
                    v1::PushResponse* out) override {
    return rpc::Unary(context, "riseml.v1.FileService/Push", [&](const rpc::Call&) {
      v1::PushRequest request;
      std::string project;
      while (reader->Read(&request)) {
        if (request.has_header()) project = request.header().project();
      }
      out->mutable_revision()->set_name(absl::StrCat(project, "/revisions/", kCommit));
      out->mutable_revision()->set_commit(kCommit);
      out->mutable_revision()->set_tree(kTree);
      out->set_created(true);
      out->set_project_created(true);
      return absl::OkStatus();
    });
  }
};

}  // namespace

class FakeCluster::Authenticator final : public rpc::Authenticator {
 public:
  absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view credential) override {
    if (credential != kFakeKey) return Error(Reason::kUnauthenticated, "unknown API key");
    internal::v1::Caller caller;
    caller.set_kind(internal::v1::Caller::USER);
    caller.set_user("paul");
    caller.set_role(v1::User::ADMIN);
    return caller;
  }
};

FakeCluster::FakeCluster(const std::string& dir) : authenticator_(std::make_unique<Authenticator>()) {
  if (const absl::Status status = rpc::WriteCertificates(dir, {"api"}, SystemClock().Now()); !status.ok()) Die(status);
  const auto ca = ReadFile(dir + "/ca.crt", 1 << 20);
  if (!ca.ok()) Die(ca.status());
  ca_pem_ = *ca;
  services_.push_back(std::make_unique<FakeUsers>(content_));
  services_.push_back(std::make_unique<FakeClusters>(content_));
  services_.push_back(std::make_unique<FakeNodes>());
  services_.push_back(std::make_unique<FakeProjects>(content_));
  services_.push_back(std::make_unique<FakeFiles>());
  for (auto& service : MakeExperimentServices(content_)) services_.push_back(std::move(service));
  rpc::ServerOptions options;
  options.listener.set_address("127.0.0.1:0");
  options.listener.set_certificate_file(dir + "/api.crt");
  options.listener.set_key_file(dir + "/api.key");
  options.authenticator = authenticator_.get();
  for (const auto& service : services_) options.services.push_back(service.get());
  auto server = rpc::Server::Start(options);
  if (!server.ok()) Die(server.status());
  server_ = *std::move(server);
  other_logs_ = MakeLogService(content_, 1);
  options.services = {other_logs_.get()};
  auto other = rpc::Server::Start(std::move(options));
  if (!other.ok()) Die(other.status());
  other_server_ = *std::move(other);
  v1::ClusterInfo cluster;
  cluster.set_cluster_id("c0ffee");
  cluster.set_server_version("2.0.0");
  cluster.set_oldest_client_version("2.0");
  cluster.set_newest_client_version("2.0");
  cluster.set_mode(v1::ClusterInfo::LOCAL);
  cluster.set_gitsync_address(address());
  cluster.set_loghandler_address(address());
  content_.SetCluster(cluster);
}

FakeCluster::~FakeCluster() {
  {
    MutexLock lock(content_.mu_);
    content_.stopped_ = true;
    content_.Changed();
  }
  server_->Shutdown(absl::Seconds(1));
  StopOtherLogs();
}

std::string FakeCluster::address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

void FakeCluster::StopOtherLogs() { other_server_->Shutdown(absl::ZeroDuration()); }

std::string FakeCluster::other_logs_address() const { return absl::StrCat("127.0.0.1:", other_server_->port()); }

}  // namespace riseml::cli
