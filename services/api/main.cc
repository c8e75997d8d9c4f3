// riseml-api: the state of record. Commands: serve (default), migrate, bootstrap.
#include <chrono>
#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "riseml/config/v1/api.pb.h"
#include "services/api/authenticator.h"
#include "services/api/migrations.h"
#include "services/api/service_handlers.h"
#include "services/api/user_handlers.h"
#include "services/common/base/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/runtime/runtime.h"

namespace riseml::api {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(5);
constexpr int kFeedHours = 2, kRequestHours = 48;

absl::StatusOr<config::v1::ApiConfig> Load(const std::string& path) {
  config::v1::ApiConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(path, &config));
  if (config.database_connections() == 0) config.set_database_connections(8);
  if (config.mode().empty()) config.set_mode("local");
  if (!config.has_token_grace()) config.mutable_token_grace()->set_seconds(24 * 3600);
  std::vector<std::string> problems;
  if (config.user_listener().address().empty()) problems.push_back("user_listener.address must be set");
  if (config.internal_listener().address().empty()) problems.push_back("internal_listener.address must be set");
  if (config.database().empty()) problems.push_back("database must be set");
  if (config.token_key_file().empty()) problems.push_back("token_key_file must be set");
  if (config.builder_address().empty()) problems.push_back("builder_address must be set");
  if (config.database_connections() < 2 || config.database_connections() > 100)
    problems.push_back("database_connections must be 2 to 100");
  if (problems.empty()) return config;
  return Error(Reason::kInvalidArgument, absl::StrCat(path, ": ", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<std::string> LoadTokenKey(const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(std::string key, ReadFile(path, 4096));
  if (key.size() >= 32) return key;
  return Error(Reason::kInvalidArgument, absl::StrCat(path, " must hold at least 32 random bytes"));
}

absl::StatusOr<v1::ClusterInfo> ReadClusterInfo(Database& db, const config::v1::ApiConfig& config) {
  v1::ClusterInfo info;
  RISEML_ASSIGN_OR_RETURN(const std::string uid, db.Read("read cluster id", [](pqxx::work& tx) -> absl::StatusOr<std::string> {
    return tx.exec1("SELECT uid FROM cluster")[0].as<std::string>();
  }));
  info.set_cluster_id(uid);
  info.set_server_version(RISEML_VERSION);
  const std::string version = RISEML_VERSION;
  const std::string minor = version.substr(0, version.rfind('.'));
  info.set_oldest_client_version(minor);
  info.set_newest_client_version(minor);
  info.set_mode(config.mode());
  info.set_gitsync_address(config.gitsync_address());
  info.set_loghandler_address(config.loghandler_address());
  info.set_local_dir(config.local_dir());
  return info;
}

// Removes what nobody can ask for any more, once an hour.
void Prune(std::stop_token stop, Database& db) {
  Mutex mu;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    const absl::Status status = db.Read("prune", [](pqxx::work& tx) {
      sql::PruneFeed(tx, kFeedHours);
      tx.exec_params("DELETE FROM requests WHERE create_time < now() - make_interval(hours => $1)", kRequestHours);
      return absl::OkStatus();
    });
    if (!status.ok()) LogWarning("prune_failed", {{"error", std::string(status.message())}});
    MutexLock lock(mu);
    never.wait_for(mu, stop, std::chrono::hours(1), [] { return false; });
  }
}

// The database may start after us, and be migrated after that.
absl::Status WaitForSchema(const std::string& database) {
  absl::Status status;
  for (int i = 0; i < 600; ++i) {
    status = sql::CheckSchema(database, Migrations());
    if (status.code() != absl::StatusCode::kUnavailable) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return status;
}

absl::Status Serve(const config::v1::ApiConfig& config) {
  RISEML_ASSIGN_OR_RETURN(const std::string token_key, LoadTokenKey(config.token_key_file()));
  RISEML_RETURN_IF_ERROR(WaitForSchema(config.database()));
  const SystemClock clock;
  sql::Pool pool(config.database(), config.database_connections());
  FeedHub feed(pool);
  RISEML_RETURN_IF_ERROR(feed.Start());
  Database db(pool, feed);
  RISEML_ASSIGN_OR_RETURN(v1::ClusterInfo info, ReadClusterInfo(db, config));
  RISEML_ASSIGN_OR_RETURN(const auto builder_channel, rpc::ServiceChannel(config.builder_address(), config.client_tls()));
  const auto builder = internal::v1::BuilderService::NewStub(builder_channel);

  const AttemptTokens tokens(token_key);
  UserStore users(db);
  CodeStore code(db);
  ExperimentStore experiments(db, {.output_dir = config.output_dir()});
  SchedulingStore scheduling(db, tokens);
  LogStore logs(db);
  Authenticator authenticator(users, tokens, clock, absl::Seconds(config.token_grace().seconds()));
  Executor executor(2);

  UserHandler user_handler(users);
  ProjectHandler project_handler(code);
  RevisionHandler revision_handler(code);
  ExperimentHandler experiment_handler(db, experiments, *builder, authenticator, executor);
  JobHandler job_handler(experiments);
  NodeHandler node_handler(scheduling);
  ClusterHandler cluster_handler(std::move(info));
  AccessHandler access_handler(authenticator, code);
  RevisionRegistryHandler revision_registry_handler(code);
  SchedulingHandler scheduling_handler(db, scheduling, tokens, executor);
  LogRegistryHandler log_registry_handler(db, logs, authenticator, executor);

  runtime::StopGroup stop;
  RISEML_ASSIGN_OR_RETURN(const auto metrics, metrics::Exposer::Start(config.metrics_address()));
  RISEML_ASSIGN_OR_RETURN(
      const auto internal,
      rpc::Server::Start({.kind = rpc::ListenerKind::kInternal,
                          .listener = config.internal_listener(),
                          .services = {&access_handler, &revision_registry_handler, &scheduling_handler, &log_registry_handler}}));
  stop.Add([&] { internal->Shutdown(kDrain); });
  RISEML_ASSIGN_OR_RETURN(const auto user,
                          rpc::Server::Start({.kind = rpc::ListenerKind::kUser,
                                              .listener = config.user_listener(),
                                              .authenticator = &authenticator,
                                              .services = {&user_handler, &project_handler, &revision_handler, &experiment_handler,
                                                           &job_handler, &node_handler, &cluster_handler},
                                              .max_threads = 64}));
  stop.Add([&] { user->Shutdown(kDrain); });
  const std::jthread pruner([&](std::stop_token token) { Prune(token, db); });
  runtime::WaitForSignal();
  return absl::OkStatus();
}

absl::Status Bootstrap(const config::v1::ApiConfig& config) {
  RISEML_RETURN_IF_ERROR(sql::CheckSchema(config.database(), Migrations()));
  sql::Pool pool(config.database(), 1);
  FeedHub feed(pool);
  Database db(pool, feed);
  RISEML_ASSIGN_OR_RETURN(const std::string key, UserStore(db).Bootstrap());
  std::printf("%s\n", key.c_str());
  return absl::OkStatus();
}

absl::Status Main(int argc, char** argv) {
  CLI::App app("State of record of RiseML: users, projects, experiments, jobs", "riseml-api");
  std::string config_file;
  bool check = false;
  app.add_option("--config", config_file, "Configuration file (YAML, riseml.config.v1.ApiConfig)")->required();
  app.add_flag("--check", check, "Read and check the configuration, then exit");
  app.set_version_flag("--version", absl::StrCat("riseml-api ", RISEML_VERSION));
  CLI::App* const migrate = app.add_subcommand("migrate", "Bring the database's schema up to date, then exit");
  CLI::App* const bootstrap = app.add_subcommand("bootstrap", "Create user admin when there is no user, print the API key, then exit");
  app.fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(app.exit(e));
  }
  RISEML_ASSIGN_OR_RETURN(const config::v1::ApiConfig config, Load(config_file));
  if (check) return absl::OkStatus();
  if (*migrate) return sql::Migrate(config.database(), Migrations());
  if (*bootstrap) return Bootstrap(config);
  return Serve(config);
}

}  // namespace
}  // namespace riseml::api

int main(int argc, char** argv) {
  return riseml::runtime::RunMain("api", [&] { return riseml::api::Main(argc, argv); });
}
