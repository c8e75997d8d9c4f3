#include "services/api/testing/api_fixture.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <pqxx/pqxx>

#include "absl/strings/str_cat.h"
#include "services/api/data/database.h"
#include "services/api/migrations.h"
#include "services/api/user/user_store.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/rpc/certificates.h"

namespace riseml::api {
namespace {

config::v1::Listener ListenerIn(const std::string& dir, const std::string& service) {
  config::v1::Listener listener;
  listener.set_address("127.0.0.1:0");
  listener.set_certificate_file(dir + "/" + service + ".crt");
  listener.set_key_file(dir + "/" + service + ".key");
  listener.set_client_ca_file(dir + "/ca.crt");
  return listener;
}

config::v1::ClientTls TlsIn(const std::string& dir, const std::string& service) {
  config::v1::ClientTls tls;
  tls.set_ca_file(dir + "/ca.crt");
  tls.set_certificate_file(dir + "/" + service + ".crt");
  tls.set_key_file(dir + "/" + service + ".key");
  return tls;
}

}  // namespace

grpc::Status FakeBuilder::ResolveEnvironment(grpc::ServerContext*, const internal::v1::ResolveEnvironmentRequest*,
                                             internal::v1::Environment* response) {
  MutexLock lock(mu_);
  response->set_state(state_);
  response->set_base_image(base_image_);
  return resolve_status_;
}

grpc::Status FakeBuilder::ListStoredEnvironments(grpc::ServerContext*,
                                                 const internal::v1::ListStoredEnvironmentsRequest*,
                                                 internal::v1::ListStoredEnvironmentsResponse* response) {
  MutexLock lock(mu_);
  *response = stored_;
  return list_status_;
}

grpc::Status FakeBuilder::RemoveStoredEnvironment(grpc::ServerContext*,
                                                  const internal::v1::RemoveStoredEnvironmentRequest* request,
                                                  internal::v1::RemoveStoredEnvironmentResponse*) {
  MutexLock lock(mu_);
  if (removal_status_.ok()) removed_ = request->key();
  return removal_status_;
}

void FakeBuilder::Reset(internal::v1::Environment::State state, const std::string& base_image) {
  MutexLock lock(mu_);
  stored_.clear_environments();
  state_ = state;
  base_image_ = base_image;
  resolve_status_ = list_status_ = removal_status_ = grpc::Status::OK;
}

void FakeBuilder::BreakResolve(const grpc::Status& status) {
  MutexLock lock(mu_);
  resolve_status_ = status;
}

void FakeBuilder::Break(const grpc::Status& list, const grpc::Status& removal) {
  MutexLock lock(mu_);
  list_status_ = list;
  removal_status_ = removal;
}

void FakeBuilder::Store(const std::string& key, std::int64_t bytes) {
  MutexLock lock(mu_);
  internal::v1::StoredEnvironment* const environment = stored_.add_environments();
  environment->set_key(key);
  environment->set_bytes(bytes);
  environment->set_complete(true);
  environment->set_digest("digest of " + key);
}

std::string FakeBuilder::removed() {
  MutexLock lock(mu_);
  return removed_;
}

ApiFixture::ApiFixture() {
  char pattern[] = "/tmp/riseml-api-XXXXXX";
  dir_ = mkdtemp(pattern);
  EXPECT_TRUE(rpc::WriteCertificates(dir_, {"api", "builder", "gitsync", "scheduler", "loghandler", "agent", "web"},
                                     SystemClock().Now())
                  .ok());
  EXPECT_TRUE(WriteFileAtomically(dir_ + "/token.key", RandomBytes(32), 0600).ok());
  builder_server_ = *rpc::Server::Start(
      {.kind = rpc::ListenerKind::kInternal, .listener = ListenerIn(dir_, "builder"), .services = {&builder_}});
  *config_.mutable_user_listener() = ListenerIn(dir_, "api");
  *config_.mutable_internal_listener() = ListenerIn(dir_, "api");
  *config_.mutable_client_tls() = TlsIn(dir_, "api");
  config_.set_builder_address(Address(builder_server_->port()));
  config_.set_database(postgres_.NewDatabase());
  config_.set_database_connections(8);
  config_.set_user_max_experiments(100'000);
  config_.set_user_max_bytes(std::int64_t{500} << 30);
  config_.set_token_key_file(dir_ + "/token.key");
  config_.set_secret_key_file(dir_ + "/token.key");
  config_.set_output_dir("/out");
  config_.mutable_token_grace()->set_seconds(3600);
  EXPECT_TRUE(sql::Migrate(config_.database(), Migrations()).ok());
  sql::Pool pool(config_.database(), 1);
  WatchCache feed(pool);
  Database db(pool, feed);
  admin_key_ = *UserStore(db).Bootstrap();
  Restart();
}

absl::StatusOr<std::string> ApiFixture::MakeAdminKey() {
  sql::Pool pool(config_.database(), 1);
  WatchCache feed(pool);
  Database db(pool, feed);
  return UserStore(db).MakeAdminKey();
}

ApiFixture::~ApiFixture() {
  api_.reset();
  std::filesystem::remove_all(dir_);
}

void ApiFixture::Restart() {
  api_.reset();
  auto started = ApiServer::Start(config_, "2.0.0");
  ASSERT_TRUE(started.ok()) << started.status();
  api_ = *std::move(started);
}

internal::v1::Work ApiFixture::WorkOf(const std::string& job_uid) {
  const auto stub = internal::v1::SchedulingService::NewStub(ServiceChannel("scheduler"));
  grpc::ClientContext context;
  const auto watch = stub->WatchWork(&context, {});
  internal::v1::WatchWorkResponse response;
  internal::v1::Work found;
  while (!response.synced() && watch->Read(&response))
    for (const internal::v1::Work& work : response.work())
      if (work.job_uid() == job_uid) found = work;
  context.TryCancel();
  return found;
}

std::shared_ptr<grpc::Channel> ApiFixture::UserChannel() const {
  return rpc::UserChannel(Address(api_->user_port()), *ReadFile(dir_ + "/ca.crt", 1 << 20));
}

std::shared_ptr<grpc::Channel> ApiFixture::ServiceChannel(const std::string& service) const {
  return *rpc::ServiceChannel(Address(api_->internal_port()), TlsIn(dir_, service));
}

std::string ApiFixture::NewUser(const std::string& name, v1::User::Role role) {
  const auto stub = v1::UserService::NewStub(UserChannel());
  v1::CreateUserRequest request;
  request.set_user_id(name);
  request.set_email(name + "@example.org");
  request.set_role(role);
  const auto made = rpc::Invoke<v1::CreateUserResponse>(
      [&](auto* c, auto* r) { return stub->CreateUser(c, request, r); }, {.credential = admin_key_});
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? made->api_key() : "";
}

std::string ApiFixture::NewRevision(const std::string& user, const std::string& project) {
  const auto stub = internal::v1::RevisionRegistryService::NewStub(ServiceChannel("gitsync"));
  internal::v1::ResolveProjectRequest resolve;
  resolve.set_project(absl::StrCat("users/", user, "/projects/", project));
  resolve.set_create(true);
  const auto users = v1::UserService::NewStub(UserChannel());
  v1::GetUserRequest get;
  get.set_name("users/" + user);
  resolve.set_caller_uid(
      rpc::Invoke<v1::User>([&](auto* c, auto* r) { return users->GetUser(c, get, r); }, {.credential = admin_key_})
          ->uid());
  const auto resolved = rpc::Invoke<internal::v1::ResolveProjectResponse>(
      [&](auto* c, auto* r) { return stub->ResolveProject(c, resolve, r); });
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  internal::v1::RegisterRevisionRequest request;
  request.set_project_uid(resolved->uid());
  request.set_commit(std::string(40, 'a'));
  request.set_tree(std::string(40, 'b'));
  const auto revision =
      rpc::Invoke<v1::Revision>([&](auto* c, auto* r) { return stub->RegisterRevision(c, request, r); });
  EXPECT_TRUE(revision.ok()) << revision.status();
  return request.commit();
}

absl::StatusOr<v1::Experiment> ApiFixture::Create(const std::string& key, const std::string& user,
                                                  const std::string& yaml, const std::string& request_id) {
  v1::CreateExperimentRequest request = CreateRequest(user, yaml);
  request.set_request_id(request_id);
  return Create(key, request);
}

v1::CreateExperimentRequest ApiFixture::CreateRequest(const std::string& user, const std::string& yaml) {
  v1::CreateExperimentRequest request;
  request.set_parent("users/" + user);
  request.set_project("digits");
  request.set_revision(std::string(40, 'a'));
  request.set_config_text(yaml);
  return request;
}

absl::StatusOr<v1::Experiment> ApiFixture::Create(const std::string& key, const v1::CreateExperimentRequest& request) {
  const auto stub = v1::ExperimentService::NewStub(UserChannel());
  return rpc::Invoke<v1::Experiment>([&](auto* c, auto* r) { return stub->CreateExperiment(c, request, r); },
                                     {.credential = key});
}

absl::StatusOr<v1::Experiment> ApiFixture::Get(const std::string& key, const std::string& name) {
  const auto stub = v1::ExperimentService::NewStub(UserChannel());
  v1::GetExperimentRequest request;
  request.set_name(name);
  return rpc::Invoke<v1::Experiment>([&](auto* c, auto* r) { return stub->GetExperiment(c, request, r); },
                                     {.credential = key});
}

absl::StatusOr<v1::Experiment> ApiFixture::Kill(const std::string& key, const std::string& name,
                                                const std::string& request_id) {
  const auto stub = v1::ExperimentService::NewStub(UserChannel());
  v1::KillExperimentRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  return rpc::Invoke<v1::Experiment>([&](auto* c, auto* r) { return stub->KillExperiment(c, request, r); },
                                     {.credential = key});
}

std::int64_t ApiFixture::epoch() {
  if (epoch_ != 0) return epoch_;
  const auto stub = internal::v1::SchedulingService::NewStub(ServiceChannel("scheduler"));
  internal::v1::AcquireLeadershipRequest request;
  request.set_holder("test");
  request.mutable_lease()->set_seconds(60);
  const auto acquired = rpc::Invoke<internal::v1::AcquireLeadershipResponse>(
      [&](auto* c, auto* r) { return stub->AcquireLeadership(c, request, r); });
  EXPECT_TRUE(acquired.ok()) << acquired.status();
  return epoch_ = acquired->epoch();
}

absl::StatusOr<internal::v1::PlacementResult> ApiFixture::Commit(const internal::v1::Placement& placement) {
  const auto stub = internal::v1::SchedulingService::NewStub(ServiceChannel("scheduler"));
  internal::v1::CommitPlanRequest request;
  request.set_epoch(epoch());
  *request.add_groups()->add_placements() = placement;
  request.mutable_groups(0)->mutable_placements(0)->set_node("local");
  auto committed =
      rpc::Invoke<internal::v1::CommitPlanResponse>([&](auto* c, auto* r) { return stub->CommitPlan(c, request, r); });
  if (!committed.ok()) return committed.status();
  return committed->groups(0).results(0);
}

absl::StatusOr<internal::v1::PlacementResult> ApiFixture::Place(const std::string& job_uid,
                                                                const std::string& environment_key) {
  internal::v1::Placement placement;
  placement.set_job_uid(job_uid);
  placement.set_environment_key(environment_key);
  if (!environment_key.empty()) {
    placement.mutable_environment()->add_steps("pip install --index-url https://me:s3cr3t@host/simple six");
    placement.mutable_environment()->set_built_because("requirements.txt has changed since 12.build");
  }
  return Commit(placement);
}

absl::StatusOr<internal::v1::PlacementResult> ApiFixture::Use(const std::string& job_uid,
                                                              const std::string& environment_key, bool makes_it) {
  internal::v1::Placement placement;
  placement.set_job_uid(job_uid);
  placement.set_uses_environment(environment_key);
  placement.set_makes_environment(makes_it);
  if (makes_it) placement.mutable_environment()->set_built_because("the one that 12.build built has been removed");
  if (!makes_it) placement.mutable_environment()->set_digest("digest of " + environment_key);
  return Commit(placement);
}

absl::Status ApiFixture::Report(const std::string& job_uid, int attempt, internal::v1::Observation::Event event,
                                int exit_code) {
  const auto stub = internal::v1::SchedulingService::NewStub(ServiceChannel("scheduler"));
  internal::v1::ReportObservationsRequest request;
  request.set_epoch(epoch());
  internal::v1::Observation* observation = request.add_observations();
  observation->set_job_uid(job_uid);
  observation->set_attempt(attempt);
  observation->set_event(event);
  if (event == internal::v1::Observation::EXITED) {
    observation->set_exit_code(exit_code);
    observation->set_reason(exit_code == 0 ? "COMPLETED" : "ERROR");
    observation->set_exit_class(exit_code == 0 ? v1::Attempt::SUCCESS : v1::Attempt::USER_ERROR);
  }
  if (event == internal::v1::Observation::LOST || event == internal::v1::Observation::START_FAILED) {
    observation->set_reason("NODE_LOST");
    observation->set_message("the node does not know the attempt any more");
    observation->set_exit_class(v1::Attempt::INFRASTRUCTURE);
  }
  return rpc::Invoke<internal::v1::ReportObservationsResponse>(
             [&](auto* c, auto* r) { return stub->ReportObservations(c, request, r); })
      .status();
}

void ApiFixture::RunToEnd(const std::string& job_uid, int exit_code) {
  const auto placed = Place(job_uid);
  ASSERT_TRUE(placed.ok()) << placed.status();
  ASSERT_GT(placed->attempt(), 0) << placed->message();
  EXPECT_TRUE(Report(job_uid, placed->attempt(), internal::v1::Observation::STARTED).ok());
  EXPECT_TRUE(Report(job_uid, placed->attempt(), internal::v1::Observation::EXITED, exit_code).ok());
}

void ApiFixture::CompleteLog(const std::string& job_uid, int attempt, std::int64_t bytes) {
  const auto stub = internal::v1::LogRegistryService::NewStub(ServiceChannel("loghandler"));
  internal::v1::ReportLogEndRequest request;
  request.set_job_uid(job_uid);
  request.set_attempt(attempt);
  request.set_log_state(v1::Attempt::COMPLETE);
  request.set_log_bytes(bytes);
  const auto reported = rpc::Invoke<internal::v1::ReportLogEndResponse>(
      [&](auto* c, auto* r) { return stub->ReportLogEnd(c, request, r); });
  EXPECT_TRUE(reported.ok()) << reported.status();
}

void ApiTestBase::SetUp() {
  static int users = 0;
  user_ = absl::StrCat("user", ++users);
  key_ = api_->NewUser(user_);
  api_->NewRevision(user_, "digits");
  api_->builder().Reset(internal::v1::Environment::READY);
}

void ApiTestBase::TearDown() {
  pqxx::connection db(api_->database());
  pqxx::work tx(db);
  const auto wrong = tx.exec(
      "SELECT root_uid, state, counted.n, kept.count FROM "
      "(SELECT root_uid, state, count(*) AS n FROM experiments WHERE child > 0 GROUP BY root_uid, state) counted "
      "FULL JOIN (SELECT * FROM child_counts WHERE count <> 0) kept USING (root_uid, state) "
      "WHERE counted.n IS DISTINCT FROM kept.count");
  for (const auto& row : wrong)
    ADD_FAILURE() << "set " << row[0].c_str() << " has " << row[2].c_str() << " children " << row[1].c_str()
                  << ", but child_counts says " << row[3].c_str();
  for (const auto& row : tx.exec("SELECT u.name, u.experiments, count(e.uid) FROM users u LEFT JOIN experiments e ON "
                                 "e.user_uid = u.uid GROUP BY u.uid HAVING u.experiments <> count(e.uid)"))
    ADD_FAILURE() << row[0].c_str() << " has " << row[2].c_str() << " experiments, but " << row[1].c_str()
                  << " are counted";
  const auto stored = tx.exec(
      "SELECT u.name, COALESCE(k.stored_bytes, 0), roots.bytes + logs.bytes + code.bytes FROM users u LEFT JOIN "
      "user_usage k ON "
      "k.user_uid = u.uid, "
      "LATERAL (SELECT COALESCE(sum(output_bytes), 0) AS bytes FROM experiments WHERE user_uid = u.uid AND uid = "
      "root_uid) roots, "
      "LATERAL (SELECT COALESCE(sum(a.log_bytes), 0) AS bytes FROM experiments e JOIN jobs j ON j.experiment_uid = "
      "e.uid JOIN attempts a ON a.job_uid = j.uid WHERE e.user_uid = u.uid) logs, "
      "LATERAL (SELECT COALESCE(sum(stored_bytes), 0) AS bytes FROM projects WHERE user_uid = u.uid) code "
      "WHERE COALESCE(k.stored_bytes, 0) <> roots.bytes + logs.bytes + code.bytes");
  for (const auto& row : stored)
    ADD_FAILURE() << row[0].c_str() << " keeps " << row[2].c_str() << " bytes, but " << row[1].c_str()
                  << " are counted";
}

v1::Experiment ApiTestBase::Create(const std::string& yaml) {
  auto made = api_->Create(key_, user_, yaml);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

absl::Status ApiTestBase::DeleteExperiment(const std::string& name) {
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::DeleteExperimentRequest request;
  request.set_name(name);
  return rpc::Invoke<v1::DeleteExperimentResponse>(
             [&](auto* c, auto* r) { return stub->DeleteExperiment(c, request, r); }, {.credential = key_})
      .status();
}

}  // namespace riseml::api
