#include "services/api/api_server.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/api/code/environment_removal.h"
#include "services/api/code/environment_store.h"
#include "services/api/handler/access_handler.h"
#include "services/api/handler/cluster_handler.h"
#include "services/api/handler/environment_handler.h"
#include "services/api/handler/experiment_handler.h"
#include "services/api/handler/job_handler.h"
#include "services/api/handler/log_registry_handler.h"
#include "services/api/handler/node_handler.h"
#include "services/api/handler/project_handler.h"
#include "services/api/handler/registry_handler.h"
#include "services/api/handler/removal_handler.h"
#include "services/api/handler/revision_handler.h"
#include "services/api/handler/revision_registry_handler.h"
#include "services/api/handler/scheduling_handler.h"
#include "services/api/handler/secret_handler.h"
#include "services/api/handler/user_handler.h"
#include "services/api/scheduling/upkeep.h"
#include "services/api/user/authenticator.h"
#include "services/api/user/caller_store.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/rpc/channel.h"

namespace riseml::api {
namespace {

constexpr std::int64_t kEnvironmentsMaxAge = 30 * 24 * 3600;
constexpr std::int64_t kEnvironmentsMaxBytes = 100'000'000'000;
constexpr std::int64_t kUserMaxExperiments = 100'000;
constexpr absl::Duration kDrain = absl::Seconds(5);
constexpr int kInternalThreads = 256 + 16;  // for users whom services act for, and for services
constexpr int kAccessConnections = 2;
constexpr int kBulkConnections = 4;

absl::StatusOr<std::string> LoadKey(const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(std::string key, ReadFile(path, 4096));
  if (key.size() >= 32) return key;
  return Error(Reason::kInvalidArgument, absl::StrCat(path, " must hold at least 32 random bytes"));
}

absl::StatusOr<v1::ClusterInfo> ReadClusterInfo(Database& db, const config::v1::ApiConfig& config,
                                                const std::string& version) {
  v1::ClusterInfo info;
  RISEML_ASSIGN_OR_RETURN(const std::string uid,
                          db.Read("read cluster id", [](pqxx::work& tx) -> absl::StatusOr<std::string> {
                            return tx.exec1("SELECT uid FROM cluster")[0].as<std::string>();
                          }));
  const std::string minor = version.substr(0, version.rfind('.'));
  info.set_cluster_id(config.cluster_id().empty() ? uid : config.cluster_id());
  info.set_server_version(version);
  info.set_oldest_client_version(minor);
  info.set_newest_client_version(minor);
  info.set_mode(config.mode() == "kubernetes" ? v1::ClusterInfo::KUBERNETES : v1::ClusterInfo::LOCAL);
  info.set_gitsync_address(config.gitsync_address());
  info.set_loghandler_address(config.loghandler_address());
  info.set_local_dir(config.local_dir());
  *info.mutable_notes() = config.notes();
  info.set_containers(config.containers());
  return info;
}

// At most half of the processors (but at least 1), so that others' calls find a free one; at most 4, since more would
// take the connections to the database.
rpc::CallLimits CallLimitsOfThisMachine() {
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  return {.running = std::clamp(processors / 2, 1, 4)};
}

UserLimits LimitsOf(const config::v1::ApiConfig& config) {
  return {.experiments = config.user_max_experiments(), .bytes = config.user_max_bytes()};
}

}  // namespace

// Members in the order of their dependencies. Users, services and authentication each have connections to the database
// and threads of their own, so that no flood of one holds up another.
struct ApiServer::Parts {
  Parts(const config::v1::ApiConfig& config, const std::string& token_key, const std::string& secret_key)
      : user_pool(config.database(), config.database_connections()),
        service_pool(config.database(), config.database_connections()),
        access_pool(config.database(), kAccessConnections),
        bulk_pool(config.database(), kBulkConnections, sql::Pool::Priority::kBackground),
        feed(service_pool),
        user_db(user_pool, feed),
        service_db(service_pool, feed),
        access_db(access_pool, feed),
        bulk_db(bulk_pool, feed),
        tokens(token_key),
        box(secret_key),
        users(user_db, LimitsOf(config)),
        code(user_db, LimitsOf(config)),
        experiments(user_db, bulk_db, {.output_dir = config.output_dir()}, LimitsOf(config)),
        environments(user_db),
        nodes(user_db, tokens),
        deletions(user_db),
        secrets(user_db, box),
        registries(user_db, box),
        backlogs(user_db),
        callers(access_db),
        access(access_db, LimitsOf(config)),
        authenticator(callers, tokens, clock, absl::Seconds(config.token_grace().seconds())),
        revisions(service_db, LimitsOf(config)),
        scheduling(service_db, tokens),
        logs(service_db),
        removals(service_db),
        credentials(service_db, box),
        user_executor(2),
        service_executor(2) {}

  const SystemClock clock;
  sql::Pool user_pool, service_pool, access_pool;
  sql::Pool bulk_pool;  // what takes long: large sets
  WatchCache feed;
  Database user_db, service_db, access_db, bulk_db;
  const AttemptTokens tokens;
  const SecretBox box;
  // For users.
  UserStore users;
  CodeStore code;
  ExperimentStore experiments;
  EnvironmentStore environments;
  SchedulingStore nodes;
  RemovalStore deletions;
  SecretStore secrets;
  RegistryStore registries;
  LogStore backlogs;
  // For authentication.
  CallerStore callers;
  CodeStore access;
  Authenticator authenticator;
  // For services.
  CodeStore revisions;
  SchedulingStore scheduling;
  LogStore logs;
  RemovalStore removals;
  RegistryStore credentials;
  ThreadExecutor user_executor, service_executor;
  std::unique_ptr<internal::v1::BuilderService::Stub> builder;

  std::vector<std::unique_ptr<grpc::Service>> handlers;
  std::unique_ptr<rpc::Server> internal_server, user_server;
  std::jthread upkeep, collector;

  template <class Handler, class... Arguments>
  grpc::Service* Add(Arguments&&... arguments) {
    handlers.push_back(std::make_unique<Handler>(std::forward<Arguments>(arguments)...));
    return handlers.back().get();
  }

  // Returns the services that users may call.
  std::vector<grpc::Service*> AddUserServices(const v1::ClusterInfo& info, bool containers) {
    return {Add<UserHandler>(users, authenticator, feed),
            Add<ProjectHandler>(code, deletions),
            Add<RevisionHandler>(code),
            Add<ExperimentHandler>(user_db, experiments, deletions, secrets, *builder, authenticator, user_executor,
                                   containers),
            Add<JobHandler>(experiments, backlogs, secrets),
            Add<NodeHandler>(nodes),
            Add<SecretHandler>(secrets),
            Add<RegistryHandler>(registries),
            Add<EnvironmentHandler>(environments, *builder),
            Add<ClusterHandler>(info)};
  }
};

ApiServer::ApiServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

ApiServer::~ApiServer() {
  parts_->feed.Close();  // otherwise open watches delay the shutdown
  if (parts_->user_server != nullptr) parts_->user_server->Shutdown(kDrain);
  if (parts_->internal_server != nullptr) parts_->internal_server->Shutdown(kDrain);
}

int ApiServer::user_port() const { return parts_->user_server->port(); }
int ApiServer::internal_port() const { return parts_->internal_server->port(); }

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const config::v1::ApiConfig& config,
                                                            const std::string& version) {
  RISEML_ASSIGN_OR_RETURN(const std::string token_key, LoadKey(config.token_key_file()));
  RISEML_ASSIGN_OR_RETURN(const std::string secret_key, LoadKey(config.secret_key_file()));
  std::unique_ptr<ApiServer> server(new ApiServer(std::make_unique<Parts>(config, token_key, secret_key)));
  Parts& p = *server->parts_;
  RISEML_RETURN_IF_ERROR(p.feed.Start());
  rpc::UserCalls::OfProcess().SetLimits(CallLimitsOfThisMachine());
  RISEML_RETURN_IF_ERROR(PrepareAuditMonths(p.service_db));
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo info, ReadClusterInfo(p.service_db, config, version));
  RISEML_ASSIGN_OR_RETURN(const auto builder_channel,
                          rpc::ServiceChannel(config.builder_address(), config.client_tls()));
  p.builder = internal::v1::BuilderService::NewStub(builder_channel);
  std::vector<grpc::Service*> for_services = {
      p.Add<AccessHandler>(p.authenticator, p.access, p.feed, p.service_executor),
      p.Add<RevisionRegistryHandler>(p.revisions),
      p.Add<SchedulingHandler>(p.service_db, p.scheduling, p.tokens, p.service_executor),
      p.Add<LogRegistryHandler>(p.service_db, p.logs, p.authenticator, p.service_executor),
      p.Add<RemovalHandler>(p.removals),
      p.Add<RegistryCredentialHandler>(p.credentials)};
  // A gRPC service object belongs to one server, so each server has its own objects for users' services.
  for (grpc::Service* service : p.AddUserServices(info, config.containers())) for_services.push_back(service);
  RISEML_ASSIGN_OR_RETURN(p.internal_server, rpc::Server::Start({.kind = rpc::ListenerKind::kInternal,
                                                                 .listener = config.internal_listener(),
                                                                 .users = &p.authenticator,
                                                                 .services = std::move(for_services),
                                                                 .max_threads = kInternalThreads}));
  RISEML_ASSIGN_OR_RETURN(p.user_server,
                          rpc::Server::Start({.kind = rpc::ListenerKind::kUser,
                                              .listener = config.user_listener(),
                                              .authenticator = &p.authenticator,
                                              .services = p.AddUserServices(info, config.containers())}));
  p.upkeep = std::jthread([&p](std::stop_token stop) { KeepUp(stop, p.service_db); });
  const EnvironmentLimits limits{.max_age = absl::Seconds(config.environments_max_age().seconds()),
                                 .max_bytes = config.environments_max_bytes()};
  p.collector = std::jthread(
      [&p, limits](std::stop_token stop) { CollectEnvironments(stop, p.environments, *p.builder, limits, p.clock); });
  return server;
}

absl::StatusOr<config::v1::ApiConfig> LoadApiConfig(const std::string& path) {
  config::v1::ApiConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(path, &config));
  if (config.database_connections() == 0) config.set_database_connections(6);
  if (config.mode().empty()) config.set_mode("local");
  if (!config.has_token_grace()) config.mutable_token_grace()->set_seconds(24 * 3600);
  if (!config.has_environments_max_age()) config.mutable_environments_max_age()->set_seconds(kEnvironmentsMaxAge);
  if (config.environments_max_bytes() == 0) config.set_environments_max_bytes(kEnvironmentsMaxBytes);
  if (config.user_max_experiments() == 0) config.set_user_max_experiments(kUserMaxExperiments);
  if (config.user_max_bytes() == 0) config.set_user_max_bytes(-1);
  std::vector<std::string> problems;
  if (!rpc::HasAddress(config.user_listener()))
    problems.push_back("user_listener.address or user_listener.socket_address must be set");
  if (config.internal_listener().address().empty()) problems.push_back("internal_listener.address must be set");
  if (config.database().empty()) problems.push_back("database must be set");
  if (config.token_key_file().empty()) problems.push_back("token_key_file must be set");
  if (config.secret_key_file().empty()) problems.push_back("secret_key_file must be set");
  if (config.builder_address().empty()) problems.push_back("builder_address must be set");
  if (config.database_connections() < 2 || config.database_connections() > 100)
    problems.push_back("database_connections must be 2 to 100");
  if (config.environments_max_age().seconds() < 0) problems.push_back("environments_max_age must be 0s or more");
  if (config.environments_max_bytes() < -1) problems.push_back("environments_max_bytes must be positive, or -1");
  if (config.user_max_experiments() < -1) problems.push_back("user_max_experiments must be positive, or -1");
  if (config.user_max_bytes() < -1) problems.push_back("user_max_bytes must be positive, or -1");
  if (problems.empty()) return config;
  return Error(Reason::kInvalidArgument, absl::StrCat(path, ": ", absl::StrJoin(problems, "; ")));
}

}  // namespace riseml::api
