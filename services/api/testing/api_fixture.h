// A whole api over TLS on a PostgreSQL of its own, with a builder a test controls.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "riseml/internal/v1/scheduling.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/secret.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/api/api_server.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/common/testing/postgres.h"

namespace riseml::api {

// BuilderService as a test wants it: every environment is in one state, and stored is what the test stored.
class FakeBuilder final : public internal::v1::BuilderService::Service {
 public:
  grpc::Status ResolveEnvironment(grpc::ServerContext* context, const internal::v1::ResolveEnvironmentRequest* request,
                                  internal::v1::Environment* response) override;
  grpc::Status ListStoredEnvironments(grpc::ServerContext* context,
                                      const internal::v1::ListStoredEnvironmentsRequest* request,
                                      internal::v1::ListStoredEnvironmentsResponse* response) override;
  grpc::Status RemoveStoredEnvironment(grpc::ServerContext* context,
                                       const internal::v1::RemoveStoredEnvironmentRequest* request,
                                       internal::v1::RemoveStoredEnvironmentResponse* response) override;

  // Forgets what is stored and answers every question with this state. `base_image` is that of an image.
  void Reset(internal::v1::Environment::State state, const std::string& base_image = "");
  // Stores a complete environment.
  void Store(const std::string& key, std::int64_t bytes);
  // Key of the environment that was removed last.
  std::string removed();
  // Sets the statuses that ListStored and Remove return until the next Reset.
  void Break(const grpc::Status& list, const grpc::Status& removal);
  // Sets the status that Resolve returns until the next Reset.
  void BreakResolve(const grpc::Status& status);

 private:
  Mutex mu_;
  internal::v1::ListStoredEnvironmentsResponse stored_ ABSL_GUARDED_BY(mu_);
  std::string removed_ ABSL_GUARDED_BY(mu_);
  grpc::Status resolve_status_ ABSL_GUARDED_BY(mu_), list_status_ ABSL_GUARDED_BY(mu_),
      removal_status_ ABSL_GUARDED_BY(mu_);
  internal::v1::Environment::State state_ ABSL_GUARDED_BY(mu_) = internal::v1::Environment::READY;
  std::string base_image_ ABSL_GUARDED_BY(mu_);
};

class ApiFixture {
 public:
  ApiFixture();
  ~ApiFixture();

  std::shared_ptr<grpc::Channel> UserChannel() const;
  std::shared_ptr<grpc::Channel> ServiceChannel(const std::string& service) const;

  // Creates a user; returns the key.
  std::string NewUser(const std::string& name, v1::User::Role role = v1::User::USER);
  // Registers a project with one revision; returns the commit.
  std::string NewRevision(const std::string& user, const std::string& project);

  absl::StatusOr<v1::Experiment> Create(const std::string& key, const std::string& user, const std::string& yaml,
                                        const std::string& request_id = "");
  // The request of the call above, to be changed.
  static v1::CreateExperimentRequest CreateRequest(const std::string& user, const std::string& yaml);
  absl::StatusOr<v1::Experiment> Create(const std::string& key, const v1::CreateExperimentRequest& request);
  absl::StatusOr<v1::Experiment> Get(const std::string& key, const std::string& name);
  absl::StatusOr<v1::Experiment> Kill(const std::string& key, const std::string& name,
                                      const std::string& request_id = "");

  // The scheduler's part.
  std::int64_t epoch();
  // The job as the scheduler is told; empty if it is not told of it.
  internal::v1::Work WorkOf(const std::string& job_uid);
  absl::StatusOr<internal::v1::PlacementResult> Place(const std::string& job_uid,
                                                      const std::string& environment_key = "");
  // Places a job that uses an environment, or makes it before its commands.
  absl::StatusOr<internal::v1::PlacementResult> Use(const std::string& job_uid, const std::string& environment_key,
                                                    bool makes_it = false);
  absl::Status Report(const std::string& job_uid, int attempt, internal::v1::Observation::Event event,
                      int exit_code = 0);
  // Places and reports until the end.
  void RunToEnd(const std::string& job_uid, int exit_code = 0);
  // The log handler's part: the log of an attempt is complete.
  void CompleteLog(const std::string& job_uid, int attempt = 1, std::int64_t bytes = 0);

  // Stops the service and starts it anew on the same database.
  void Restart();
  // The same, with jobs that run in containers or as processes.
  void RestartWith(bool containers) {
    config_.set_containers(containers);
    Restart();
  }

  const std::string& admin_key() const { return admin_key_; }
  // Makes a key as `riseml-api admin-key` does.
  absl::StatusOr<std::string> MakeAdminKey();
  FakeBuilder& builder() { return builder_; }
  fixtures::Postgres& postgres() { return postgres_; }
  const std::string& database() const { return config_.database(); }

 private:
  absl::StatusOr<internal::v1::PlacementResult> Commit(const internal::v1::Placement& placement);
  std::string Address(int port) const { return "127.0.0.1:" + std::to_string(port); }
  fixtures::Postgres postgres_;
  std::string dir_;
  config::v1::ApiConfig config_;
  FakeBuilder builder_;
  std::unique_ptr<rpc::Server> builder_server_;
  std::unique_ptr<ApiServer> api_;
  std::string admin_key_;
  std::int64_t epoch_ = 0;
};

// Tests of one suite share an api; each has a user of its own with the project "digits".
class ApiTestBase : public testing::Test {
 protected:
  static void SetUpTestSuite() { api_ = new ApiFixture(); }
  static void TearDownTestSuite() {
    delete api_;
    api_ = nullptr;
  }
  void SetUp() override;
  // After each test the kept counts of children are those of the rows.
  void TearDown() override;
  v1::Experiment Create(const std::string& yaml);
  v1::Experiment Get(const std::string& name) { return *api_->Get(key_, name); }
  absl::Status DeleteExperiment(const std::string& name);

  static inline ApiFixture* api_ = nullptr;
  std::string user_, key_;
};

inline constexpr char kSingle[] =
    "project: digits\ntrain:\n  image: python:3.11\n  resources: {}\n  run: python train.py\n";
inline constexpr char kSet[] =
    "project: digits\ntrain:\n  image: python:3.11\n  resources: {}\n  concurrency: 2\n  parameters: {lr: [1e-3, 1e-4, "
    "1e-5]}\n"
    "  run: python train.py --lr {{lr}}\n";
inline constexpr char kInstall[] =
    "project: digits\ntrain:\n  image: python:3.11\n  resources: {}\n  install: pip install tqdm\n  run: python "
    "train.py\n";

}  // namespace riseml::api
