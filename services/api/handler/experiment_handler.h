// ExperimentService on the wire, for users.
#pragma once

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "services/api/data/database.h"
#include "services/api/experiment/experiment_store.h"
#include "services/api/experiment/removal_store.h"
#include "services/api/user/authenticator.h"
#include "services/api/user/secret_store.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class ExperimentHandler final
    : public v1::ExperimentService::WithCallbackMethod_WatchExperiment<v1::ExperimentService::Service> {
 public:
  // All outlive this. With `containers`, each experiment gets the base image of its jobs at its creation.
  ExperimentHandler(Database& db, ExperimentStore& experiments, RemovalStore& removals, SecretStore& secrets,
                    internal::v1::BuilderService::StubInterface& builder, Authenticator& authenticator,
                    Executor& executor, bool containers)
      : db_(db),
        experiments_(experiments),
        removals_(removals),
        secrets_(secrets),
        builder_(builder),
        authenticator_(authenticator),
        executor_(executor),
        containers_(containers) {}
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
  absl::Status FindEnvironment(const rpc::Call& call, const ExperimentStore::RevisionKey& revision,
                               ExperimentStore::NewExperiment* wanted);
  Database& db_;
  ExperimentStore& experiments_;
  RemovalStore& removals_;
  SecretStore& secrets_;
  internal::v1::BuilderService::StubInterface& builder_;
  Authenticator& authenticator_;
  Executor& executor_;
  const bool containers_;
};

}  // namespace riseml::api
