// riseml-api: keeps the state of record. Commands: serve (default), migrate, bootstrap, admin-key, verify-audit.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "services/api/api_server.h"
#include "services/api/data/database.h"
#include "services/api/migrations.h"
#include "services/api/user/audit_log.h"
#include "services/api/user/user_store.h"
#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/cmdline/command_line.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/runtime/runtime.h"

namespace riseml::api {
namespace {

constexpr absl::Duration kSchemaLimit = absl::Minutes(1);
constexpr absl::Duration kSilentWait = absl::Seconds(2);  // longer waits are logged
constexpr absl::Duration kFirstPolls = absl::Milliseconds(10);
constexpr absl::Duration kLaterPolls = absl::Milliseconds(200);

// The database may start after this process, and `riseml-api migrate` may update it after that.
bool MayStillCome(const absl::Status& schema) {
  return schema.code() == absl::StatusCode::kUnavailable ||
         (schema.code() == absl::StatusCode::kFailedPrecondition && !HasReason(schema, Reason::kNewerFormat));
}

// Returns CANCELLED if the process is asked to stop before the schema is there.
absl::Status WaitForSchema(const std::string& database) {
  const SystemClock clock;
  const absl::Time begin = clock.Now();
  bool told = false;
  while (true) {
    absl::Status status = sql::CheckSchema(database, Migrations());
    const absl::Duration waited = clock.Now() - begin;
    if (!MayStillCome(status) || waited > kSchemaLimit) return status;
    if (!told && waited > kSilentWait) {
      LogWarning("waiting_for_schema", {{"why", status.message()}, {"limit", absl::FormatDuration(kSchemaLimit)}});
      told = true;
    }
    if (runtime::SignalCameWithin(waited < kSilentWait ? kFirstPolls : kLaterPolls))
      return absl::CancelledError("stopped before the database was ready");
  }
}

absl::Status Serve(const config::v1::ApiConfig& config) {
  const absl::Status schema = WaitForSchema(config.database());
  if (absl::IsCancelled(schema)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(schema);
  const metrics::Exposer metrics(config.metrics_address());
  RISEML_ASSIGN_OR_RETURN(const auto server, ApiServer::Start(config, RISEML_VERSION));
  runtime::WaitForSignal();
  return absl::OkStatus();
}

absl::Status PrintAdminKey(const config::v1::ApiConfig& config, bool lost) {
  RISEML_RETURN_IF_ERROR(sql::CheckSchema(config.database(), Migrations()));
  sql::Pool pool(config.database(), 1);
  WatchCache feed(pool);
  Database db(pool, feed);
  const absl::StatusOr<std::string> key = lost ? UserStore(db).MakeAdminKey() : UserStore(db).Bootstrap();
  if (HasReason(key.status(), Reason::kAlreadyExists)) return absl::OkStatus();  // bootstrap runs at every start
  RISEML_RETURN_IF_ERROR(key.status());
  std::printf("%s\n", key->c_str());
  return absl::OkStatus();
}

absl::Status PrintAuditReport(const config::v1::ApiConfig& config) {
  RISEML_RETURN_IF_ERROR(sql::CheckSchema(config.database(), Migrations()));
  sql::Pool pool(config.database(), 1);
  WatchCache feed(pool);
  Database db(pool, feed);
  RISEML_ASSIGN_OR_RETURN(const AuditReport report, db.Snapshot("verify the audit log", VerifyAudit));
  std::printf(
      "The audit log is intact: %lld rows in %lld links, hash of the last one %s; %lld newer rows are not sealed yet\n",
      static_cast<long long>(report.rows), static_cast<long long>(report.links),
      report.hash.empty() ? "none" : report.hash.c_str(), static_cast<long long>(report.unsealed));
  return absl::OkStatus();
}

absl::Status Main(int argc, char** argv) {
  cmdline::CommandLine command_line("riseml-api", "State of record of RiseML: users, projects, experiments, jobs");
  cmdline::Command& root = command_line.root();
  std::string config_file;
  bool check = false;
  root.AddOption("--config", config_file, "Configuration file (YAML, riseml.config.v1.ApiConfig)").Required();
  root.AddFlag("--check", check, "Read and check the configuration, then exit");
  root.AddVersion("--version", absl::StrCat("riseml-api ", RISEML_VERSION));
  root.RequireCommand(/*optional=*/true);
  root.InheritOptions();
  const cmdline::Command migrate = root.AddCommand("migrate", "Bring the database's schema up to date, then exit");
  const cmdline::Command bootstrap =
      root.AddCommand("bootstrap", "Create user admin and print the API key when there is no user at all, then exit");
  const cmdline::Command admin_key =
      root.AddCommand("admin-key", "Make and print a further API key for user admin, then exit");
  const cmdline::Command verify_audit = root.AddCommand(
      "verify-audit",
      "Check that nobody has changed the audit log behind RiseML's back, print its newest hash, then exit");
  command_line.ParseOrExit(argc, argv);
  RISEML_ASSIGN_OR_RETURN(const config::v1::ApiConfig config, LoadApiConfig(config_file));
  if (check) return absl::OkStatus();
  if (migrate.typed()) return sql::Migrate(config.database(), Migrations());
  if (bootstrap.typed()) return PrintAdminKey(config, /*lost=*/false);
  if (admin_key.typed()) return PrintAdminKey(config, /*lost=*/true);
  if (verify_audit.typed()) return PrintAuditReport(config);
  rpc::InstallEventEngine();
  return Serve(config);
}

}  // namespace
}  // namespace riseml::api

int main(int argc, char** argv) {
  return riseml::runtime::RunMain("api", [&] { return riseml::api::Main(argc, argv); });
}
