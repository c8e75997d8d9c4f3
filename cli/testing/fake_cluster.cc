#include "cli/testing/fake_cluster.h"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/experiment_state.h"
#include "cli/render/state.h"
#include "riseml/v1/cluster.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/file.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/log.grpc.pb.h"
#include "riseml/v1/node.grpc.pb.h"
#include "riseml/v1/project.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/file.h"
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

absl::Status NotFound() { return Error(Reason::kNotFound, "not found"); }

class FakeUsers final : public v1::UserService::Service {
 public:
  grpc::Status GetCaller(grpc::ServerContext* context, const v1::GetCallerRequest*, v1::User* out) override {
    return rpc::Unary(context, "riseml.v1.UserService/GetCaller", [&](const rpc::Call& call) {
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
  static v1::User UserOf(const std::string& name) {
    v1::User user;
    user.set_name(absl::StrCat("users/", name));
    user.set_email(absl::StrCat(name, "@example.org"));
    user.set_role(v1::User::ADMIN);
    user.set_enabled(true);
    v1::ApiKey* key = user.add_api_keys();
    key->set_id("k1");
    key->set_prefix("rml_k1");
    key->mutable_create_time()->set_seconds(1'700'000'000);
    return user;
  }
};

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

class FakeNodes final : public v1::NodeService::Service {
 public:
  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest*,
                         v1::ListNodesResponse* out) override {
    return rpc::Unary(context, "riseml.v1.NodeService/ListNodes", [&](const rpc::Call&) {
      v1::Node* node = out->add_nodes();
      node->set_name("nodes/worker1");
      node->set_ready(true);
      node->set_cpus(32);
      node->set_memory_bytes(std::int64_t{64} << 30);
      return absl::OkStatus();
    });
  }
};

class FakeProjects final : public v1::ProjectService::Service {
 public:
  grpc::Status GetProject(grpc::ServerContext* context, const v1::GetProjectRequest* request,
                          v1::Project* out) override {
    return rpc::Unary(context, "riseml.v1.ProjectService/GetProject", [&](const rpc::Call&) {
      out->set_name(request->name());
      out->set_uid("project-uid");
      return absl::OkStatus();
    });
  }
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

class FakeExperiments final : public v1::ExperimentService::Service {
 public:
  explicit FakeExperiments(FakeContent& content) : content_(content) {}

  grpc::Status CreateExperiment(grpc::ServerContext* context, const v1::CreateExperimentRequest* request,
                                v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/CreateExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      content_.created_.push_back(*request);
      auto it = content_.experiments_.find(ExperimentResourceName("138"));
      if (it == content_.experiments_.end()) return NotFound();
      *out = it->second;
      return absl::OkStatus();
    });
  }
  grpc::Status GetExperiment(grpc::ServerContext* context, const v1::GetExperimentRequest* request,
                             v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/GetExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.experiments_.find(request->name());
      if (it == content_.experiments_.end()) return NotFound();
      *out = it->second;
      for (const auto& [name, job] : content_.jobs_) {
        if (ExperimentOf(job) == request->name()) *out->add_jobs() = job;
      }
      return absl::OkStatus();
    });
  }
  grpc::Status ListExperiments(grpc::ServerContext* context, const v1::ListExperimentsRequest* request,
                               v1::ListExperimentsResponse* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/ListExperiments", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      std::map<std::int64_t, v1::Experiment> found;  // newest first, children by number
      for (const auto& [name, experiment] : content_.experiments_) {
        const ExperimentName parts = *ParseExperimentName(name);
        const bool children = absl::StrContains(request->parent(), "/experiments/");
        const bool state = request->states().empty() || std::find(request->states().begin(), request->states().end(),
                                                                  experiment.state()) != request->states().end();
        if (!state) continue;
        if (!request->project().empty() && !absl::EndsWith(experiment.project(), "/" + request->project())) continue;
        if (children && parts.child != 0 && absl::StartsWith(name, request->parent() + "."))
          found[parts.child] = experiment;
        if (!children && parts.child == 0) found[-parts.number] = experiment;
      }
      // Pages of one prove that the client turns them.
      std::int64_t skip = request->page_token().empty() ? 0 : std::stoll(request->page_token());
      std::int64_t at = 0;
      for (const auto& [key, experiment] : found) {
        if (at++ != skip) continue;
        *out->add_experiments() = experiment;
        if (at < static_cast<std::int64_t>(found.size())) out->set_next_page_token(absl::StrCat(at));
      }
      return absl::OkStatus();
    });
  }
  grpc::Status KillExperiment(grpc::ServerContext* context, const v1::KillExperimentRequest* request,
                              v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/KillExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.experiments_.find(request->name());
      if (it == content_.experiments_.end()) return NotFound();
      if (it->second.state() == v1::Experiment::FINISHED) return Error(Reason::kExperimentDone, "it has ended");
      it->second.set_state(v1::Experiment::KILLED);
      content_.killed_.push_back(request->name());
      content_.Changed();
      *out = it->second;
      return absl::OkStatus();
    });
  }
  grpc::Status WatchExperiment(grpc::ServerContext* context, const v1::WatchExperimentRequest* request,
                               grpc::ServerWriter<v1::WatchExperimentResponse>* writer) override {
    std::map<std::string, std::string> sent;
    bool synced = false;
    MutexLock lock(content_.mu_);
    if (!content_.experiments_.contains(request->name())) return rpc::ToGrpc(NotFound());
    while (!context->IsCancelled() && !content_.stopped_) {
      bool over = false;
      for (const auto& [name, experiment] : content_.experiments_) {
        if (name != request->name() && !absl::StartsWith(name, request->name() + ".")) continue;
        if (name == request->name()) over = IsTerminal(experiment.state());
        v1::WatchExperimentResponse response;
        *response.mutable_experiment() = experiment;
        Send(std::move(response), name, *writer, sent);
      }
      for (const auto& [name, job] : content_.jobs_) {
        const std::string owner = ExperimentOf(job);
        if (owner != request->name() && !absl::StartsWith(owner, request->name() + ".")) continue;
        v1::WatchExperimentResponse response;
        *response.mutable_job() = job;
        Send(std::move(response), name, *writer, sent);
      }
      if (!synced) {
        v1::WatchExperimentResponse response;
        response.mutable_synced();
        writer->Write(response);
        synced = true;
        if (content_.watch_cuts_ > 0) {
          --content_.watch_cuts_;
          return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
        }
      }
      if (over) return grpc::Status::OK;
      content_.changed_.wait_for(content_.mu_, std::chrono::milliseconds(50));
    }
    return grpc::Status::CANCELLED;
  }

 private:
  static void Send(v1::WatchExperimentResponse response, const std::string& name,
                   grpc::ServerWriter<v1::WatchExperimentResponse>& writer, std::map<std::string, std::string>& sent) {
    std::string bytes = response.SerializeAsString();
    if (sent[name] == bytes) return;
    sent[name] = std::move(bytes);
    writer.Write(response);
  }

  FakeContent& content_;
};

class FakeJobs final : public v1::JobService::Service {
 public:
  explicit FakeJobs(FakeContent& content) : content_(content) {}
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request, v1::Job* out) override {
    return rpc::Unary(context, "riseml.v1.JobService/GetJob", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.jobs_.find(request->name());
      if (it == content_.jobs_.end()) return NotFound();
      *out = it->second;
      return absl::OkStatus();
    });
  }

 private:
  FakeContent& content_;
};

class FakeLogs final : public v1::LogService::Service {
 public:
  explicit FakeLogs(FakeContent& content) : content_(content) {}

  // Sends at most seven bytes a chunk, so that cuts fall into lines and characters.
  grpc::Status Follow(grpc::ServerContext* context, const v1::FollowRequest* request,
                      grpc::ServerWriter<v1::FollowResponse>* writer) override {
    MutexLock lock(content_.mu_);
    ++content_.follow_calls_;
    std::size_t left = SIZE_MAX;
    if (!content_.cuts_.empty()) {
      left = content_.cuts_.front();
      content_.cuts_.erase(content_.cuts_.begin());
    }
    std::map<std::string, std::size_t> next;
    std::map<std::string, bool> ended;
    while (!context->IsCancelled() && !content_.stopped_) {
      bool open = false;
      for (const auto& [uid, log] : content_.logs_) {
        if (log.job != request->name() && !absl::StartsWith(log.job, request->name() + "/") &&
            !absl::StartsWith(log.job, request->name() + ".")) {
          continue;
        }
        v1::FollowResponse response;
        if (!next.contains(uid)) {
          next[uid] = Start(*request, uid, log);
          response.mutable_stream()->set_job_uid(uid);
          response.mutable_stream()->set_attempt(1);
          response.mutable_stream()->set_job(log.job);
          writer->Write(response);
        }
        while (next[uid] < log.bytes.size()) {
          const std::string piece = log.bytes.substr(next[uid], std::min<std::size_t>(7, left));
          if (piece.empty()) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
          v1::LogChunk* chunk = response.mutable_chunk();
          chunk->set_job_uid(uid);
          chunk->set_attempt(1);
          chunk->set_first_offset(static_cast<std::int64_t>(next[uid]));
          chunk->set_data(piece);
          writer->Write(response);
          next[uid] += piece.size();
          left -= std::min(left, piece.size());
        }
        if (log.ended && !ended[uid]) {
          v1::LogEnd* end = response.mutable_end();
          end->set_job_uid(uid);
          end->set_attempt(1);
          end->set_final_offset(static_cast<std::int64_t>(log.bytes.size()));
          end->set_complete(log.complete);
          writer->Write(response);
          ended[uid] = true;
        }
        open |= !log.ended;
      }
      if (request->no_follow() || (!open && !next.empty())) return grpc::Status::OK;
      content_.changed_.wait_for(content_.mu_, std::chrono::milliseconds(50));
    }
    return grpc::Status::CANCELLED;
  }

 private:
  static std::size_t Start(const v1::FollowRequest& request, const std::string& uid, const FakeContent::Log& log) {
    for (const v1::StreamCursor& cursor : request.cursors()) {
      if (cursor.job_uid() == uid) return static_cast<std::size_t>(cursor.offset());
    }
    if (request.start_case() != v1::FollowRequest::kTailLines) return static_cast<std::size_t>(request.from_offset());
    std::size_t at = log.bytes.size();
    for (std::int64_t lines = 0; at > 0; --at) {
      if (log.bytes[at - 1] == '\n' && lines++ == request.tail_lines()) break;
    }
    return at;
  }

  FakeContent& content_;
};

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
  services_.push_back(std::make_unique<FakeUsers>());
  services_.push_back(std::make_unique<FakeClusters>(content_));
  services_.push_back(std::make_unique<FakeNodes>());
  services_.push_back(std::make_unique<FakeProjects>());
  services_.push_back(std::make_unique<FakeFiles>());
  services_.push_back(std::make_unique<FakeExperiments>(content_));
  services_.push_back(std::make_unique<FakeJobs>(content_));
  services_.push_back(std::make_unique<FakeLogs>(content_));
  rpc::ServerOptions options;
  options.listener.set_address("127.0.0.1:0");
  options.listener.set_certificate_file(dir + "/api.crt");
  options.listener.set_key_file(dir + "/api.key");
  options.authenticator = authenticator_.get();
  for (const auto& service : services_) options.services.push_back(service.get());
  auto server = rpc::Server::Start(std::move(options));
  if (!server.ok()) Die(server.status());
  server_ = *std::move(server);
  v1::ClusterInfo cluster;
  cluster.set_cluster_id("c0ffee");
  cluster.set_server_version("2.0.0");
  cluster.set_oldest_client_version("2.0");
  cluster.set_newest_client_version("2.0");
  cluster.set_mode("local");
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
}

std::string FakeCluster::address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

}  // namespace riseml::cli
