// Services of the user listener: parse, call, answer.
#pragma once

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/v1/cluster.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/node.grpc.pb.h"
#include "riseml/v1/project.grpc.pb.h"
#include "riseml/v1/revision.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/api/authenticator.h"
#include "services/api/code_store.h"
#include "services/api/experiment_store.h"
#include "services/api/removal_store.h"
#include "services/api/scheduling_store.h"
#include "services/api/secret_store.h"
#include "services/api/user_store.h"
#include "services/api/watchers.h"

namespace riseml::api {

class UserHandler final : public v1::UserService::Service {
 public:
  UserHandler(UserStore& users, Authenticator& authenticator, FeedHub& feed)
      : users_(users), authenticator_(authenticator), feed_(feed) {}  // all outlive this
  grpc::Status GetCaller(grpc::ServerContext*, const v1::GetCallerRequest*, v1::User*) override;
  grpc::Status CreateUser(grpc::ServerContext*, const v1::CreateUserRequest*, v1::CreateUserResponse*) override;
  grpc::Status GetUser(grpc::ServerContext*, const v1::GetUserRequest*, v1::User*) override;
  grpc::Status ListUsers(grpc::ServerContext*, const v1::ListUsersRequest*, v1::ListUsersResponse*) override;
  grpc::Status UpdateUser(grpc::ServerContext*, const v1::UpdateUserRequest*, v1::User*) override;
  grpc::Status DisableUser(grpc::ServerContext*, const v1::DisableUserRequest*, v1::User*) override;
  grpc::Status RotateApiKey(grpc::ServerContext*, const v1::RotateApiKeyRequest*, v1::RotateApiKeyResponse*) override;

 private:
  // Keys and roles have changed: nobody is remembered, and open watches ask anew.
  void ForgetCallers();

  UserStore& users_;
  Authenticator& authenticator_;
  FeedHub& feed_;
};

class ProjectHandler final : public v1::ProjectService::Service {
 public:
  ProjectHandler(CodeStore& code, RemovalStore& removals) : code_(code), removals_(removals) {}  // both outlive this
  grpc::Status GetProject(grpc::ServerContext*, const v1::GetProjectRequest*, v1::Project*) override;
  grpc::Status ListProjects(grpc::ServerContext*, const v1::ListProjectsRequest*, v1::ListProjectsResponse*) override;
  grpc::Status DeleteProject(grpc::ServerContext*, const v1::DeleteProjectRequest*,
                             v1::DeleteProjectResponse*) override;

 private:
  CodeStore& code_;
  RemovalStore& removals_;
};

class RevisionHandler final : public v1::RevisionService::Service {
 public:
  explicit RevisionHandler(CodeStore& code) : code_(code) {}  // outlives this
  grpc::Status GetRevision(grpc::ServerContext*, const v1::GetRevisionRequest*, v1::Revision*) override;
  grpc::Status ListRevisions(grpc::ServerContext*, const v1::ListRevisionsRequest*,
                             v1::ListRevisionsResponse*) override;

 private:
  CodeStore& code_;
};

class ExperimentHandler final
    : public v1::ExperimentService::WithCallbackMethod_WatchExperiment<v1::ExperimentService::Service> {
 public:
  // All outlive this.
  ExperimentHandler(Database& db, ExperimentStore& experiments, RemovalStore& removals, SecretStore& secrets,
                    internal::v1::BuilderService::StubInterface& builder, Authenticator& authenticator,
                    Executor& executor)
      : db_(db),
        experiments_(experiments),
        removals_(removals),
        secrets_(secrets),
        builder_(builder),
        authenticator_(authenticator),
        executor_(executor) {}
  grpc::Status CreateExperiment(grpc::ServerContext*, const v1::CreateExperimentRequest*, v1::Experiment*) override;
  grpc::Status GetExperiment(grpc::ServerContext*, const v1::GetExperimentRequest*, v1::Experiment*) override;
  grpc::Status ListExperiments(grpc::ServerContext*, const v1::ListExperimentsRequest*,
                               v1::ListExperimentsResponse*) override;
  grpc::Status KillExperiment(grpc::ServerContext*, const v1::KillExperimentRequest*, v1::Experiment*) override;
  grpc::Status DeleteExperiment(grpc::ServerContext*, const v1::DeleteExperimentRequest*,
                                v1::DeleteExperimentResponse*) override;
  grpc::Status ListTransitions(grpc::ServerContext*, const v1::ListTransitionsRequest*,
                               v1::ListTransitionsResponse*) override;
  grpc::ServerWriteReactor<v1::WatchExperimentResponse>* WatchExperiment(grpc::CallbackServerContext*,
                                                                         const v1::WatchExperimentRequest*) override;

 private:
  absl::StatusOr<v1::Experiment> Create(const rpc::Call& call, const v1::CreateExperimentRequest& request);
  bool NeedsBuild(const rpc::Call& call, const spec::Train& train, const ExperimentStore::RevisionKey& revision,
                  const std::string& commit, bool rebuild);
  Database& db_;
  ExperimentStore& experiments_;
  RemovalStore& removals_;
  SecretStore& secrets_;
  internal::v1::BuilderService::StubInterface& builder_;
  Authenticator& authenticator_;
  Executor& executor_;
};

class JobHandler final : public v1::JobService::Service {
 public:
  // Both outlive this.
  JobHandler(ExperimentStore& experiments, SecretStore& secrets) : experiments_(experiments), secrets_(secrets) {}
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override;
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  grpc::Status ReportResults(grpc::ServerContext*, const v1::ReportResultsRequest*,
                             v1::ReportResultsResponse*) override;
  grpc::Status FetchSecrets(grpc::ServerContext*, const v1::FetchSecretsRequest*, v1::FetchSecretsResponse*) override;

 private:
  ExperimentStore& experiments_;
  SecretStore& secrets_;
};

class NodeHandler final : public v1::NodeService::Service {
 public:
  explicit NodeHandler(SchedulingStore& scheduling) : scheduling_(scheduling) {}  // outlives this
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse*) override;

 private:
  SchedulingStore& scheduling_;
};

class ClusterHandler final : public v1::ClusterService::Service {
 public:
  explicit ClusterHandler(v1::ClusterInfo info) : info_(std::move(info)) {}
  grpc::Status GetClusterInfo(grpc::ServerContext*, const v1::GetClusterInfoRequest*, v1::ClusterInfo*) override;

 private:
  const v1::ClusterInfo info_;
};

}  // namespace riseml::api
