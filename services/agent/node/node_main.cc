#include "services/agent/node/node_main.h"

#include <unistd.h>

#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/agent/disk/image_cleanup.h"
#include "services/agent/launch/code_source.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/launch/network.h"
#include "services/agent/launch/package_settings.h"
#include "services/agent/launch/passwords.h"
#include "services/agent/launch/podman.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/agent/node/build_watch.h"
#include "services/agent/node/disk_watch.h"
#include "services/agent/node/node_service.h"
#include "services/agent/output/outputs.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/remover.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"

namespace riseml::agent {
namespace {

constexpr int kDirectoryFormat = 1;
constexpr absl::Duration kShutdownGrace = absl::Seconds(2);

// One error that lists all problems of the configuration.
absl::Status Validate(const config::v1::NodeConfig& config) {
  std::vector<std::string> problems;
  const auto require = [&problems](const std::string& value, absl::string_view key) {
    if (value.empty()) problems.push_back(absl::StrCat(key, " is missing"));
  };
  require(config.name(), "name");
  require(config.data_dir(), "data_dir");
  require(config.internal_listener().address(), "internal_listener.address");
  require(config.gitsync_address(), "gitsync_address");
  require(config.api_address(), "api_address");
  require(config.volume_output_dir(), "volume_output_dir");
  require(config.api_user_address(), "api_user_address");
  require(config.loghandler_user_address(), "loghandler_user_address");
  require(config.ca_file(), "ca_file");
  for (const std::string& path :
       {config.data_dir(), config.volume_output_dir(), config.volume_data_dir(), config.python_client_dir()})
    if (!path.empty() && path[0] != '/') problems.push_back(absl::StrCat(path, " must be an absolute path"));
  if (config.has_podman() && !absl::StartsWith(config.podman().storage_dir(), "/"))
    problems.emplace_back("podman.storage_dir must be an absolute path");
  for (const int port : config.podman().build_ports())
    if (port < 1 || port > 65535) problems.emplace_back("podman.build_ports must be numbers from 1 to 65535");
  if (problems.empty()) return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("configuration: ", absl::StrJoin(problems, "; ")));
}

// Path of riseml-job, which is installed beside this program.
absl::StatusOr<std::string> FindJobProgram(const std::string& agent) {
  std::string path = (std::filesystem::path(agent).parent_path() / "riseml-job").string();
  if (access(path.c_str(), X_OK) == 0) return path;
  return absl::FailedPreconditionError(
      absl::StrCat("no program riseml-job beside ", agent, "; build all of RiseML, or install it completely"));
}

// Null if no containers are configured.
absl::StatusOr<std::unique_ptr<Podman>> OpenPodman(const config::v1::NodeConfig& config,
                                                   const std::string& job_program) {
  if (!config.has_podman()) return nullptr;
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<Podman> podman, Podman::Open(config.podman().storage_dir()));
  RISEML_RETURN_IF_ERROR(podman->Probe(job_program, LookAtSystem({}, config.installation_dir())));
  return podman;
}

absl::StatusOr<std::string> OwnPath() {
  std::error_code error;
  const std::string path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return ErrnoError(error.value(), "find this program");
  return path;
}

}  // namespace

absl::Status RunNode(const std::string& config_file, bool check_only) {
  const JobSettings settings = WithoutPasswords(OwnVariables());
  const Variables& environment = settings.variables;
  config::v1::NodeConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(config_file, &config));
  RISEML_RETURN_IF_ERROR(Validate(config));
  RISEML_ASSIGN_OR_RETURN(const BuildLimits build_limits, BuildLimitsOf(config));
  if (check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  RISEML_RETURN_IF_ERROR(MakeDirectories(config.data_dir(), 0700));
  RISEML_RETURN_IF_ERROR(CheckFormat(config.data_dir(), "node data", kDirectoryFormat));
  RISEML_ASSIGN_OR_RETURN(const std::string isolation,
                          ChooseIsolation(config.isolation(), environment, config.python()));
  RISEML_ASSIGN_OR_RETURN(const std::string agent, OwnPath());
  RISEML_ASSIGN_OR_RETURN(const std::string job_program, FindJobProgram(agent));
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<Podman> podman, OpenPodman(config, job_program));
  const bool walled = podman != nullptr || isolation == kIsolationBubblewrap;
  RISEML_ASSIGN_OR_RETURN(const NetworkChoice network,
                          ChooseNetwork(config.network(), walled, PackageSettings(environment)));
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<CodeSource> code,
                          MakeGitsyncCodeSource(config.gitsync_address(), config.client_tls()));
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<SecretSource> secrets, MakeApiSecretSource(config));
  v1::Node node = LookAtMachine(config, podman != nullptr ? kIsolationPodman : isolation);
  node.set_limits_enforced(podman != nullptr && podman->limits());
  node.set_network(network.own ? v1::Node::OWN : v1::Node::SHARED);
  node.set_network_note(network.why_not);
  if (const std::string note = NoteOnPasswords(settings, MachineFilesWithPasswords()); !note.empty()) {
    LogWarning("passwords_kept_from_jobs", {{"note", note}});
    node.add_notes(note);
  }

  const SystemClock clock;
  AttemptTable table;
  const std::shared_ptr<prometheus::Registry> registry = metrics::ProcessRegistry();
  AgentMetrics agent_metrics(*registry);
  const Launcher launcher({config, agent, job_program, isolation, network.own, environment, podman.get()}, *code,
                          *secrets);
  launcher.LookAtAllKeptSteps(clock.Now());
  RISEML_ASSIGN_OR_RETURN(
      std::unique_ptr<AttemptReconciler> reconciler,
      AttemptReconciler::Start(config.data_dir() + "/attempts", launcher, node, table, agent_metrics, clock));
  RISEML_ASSIGN_OR_RETURN(const auto api, rpc::ServiceChannel(config.api_address(), config.client_tls()));
  const rpc::Remover remover(
      {.kind = internal::v1::ListRemovalsRequest::OUTPUT,
       .remove = [&](const std::string& item) { return RemoveOutput(config.volume_output_dir(), item); }},
      api);
  NodeService service(node, *reconciler, table);
  RISEML_RETURN_IF_ERROR(MakeDirectories(config.volume_output_dir()));
  const DiskWatch disks(node, launcher.WatchedDirectories(config.data_dir()),
                        {.reconciler = *reconciler,
                         .launcher = launcher,
                         .table = table,
                         .metrics = agent_metrics,
                         .clock = clock,
                         .tell = [&service](const v1::Node& changed) { service.SetNode(changed); }});
  const BuildWatch builds(
      build_limits,
      {.reconciler = *reconciler, .launcher = launcher, .table = table, .clock = clock, .node = config.name()});
  std::optional<ImageCleanup> images;
  if (podman != nullptr) images.emplace(ImageCleanup::Parts{*podman, clock, config.environments_dir()});
  rpc::ServerOptions options{
      .kind = rpc::ListenerKind::kInternal, .listener = config.internal_listener(), .services = {&service}};
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server, rpc::Server::Start(std::move(options)));
  const metrics::Exposer metrics(config.metrics_address());
  LogInfo("node_ready", {{"name", config.name()},
                         {"port", server->port()},
                         {"isolation", podman != nullptr ? kIsolationPodman : isolation},
                         {"network", network.own ? kNetworkOwn : kNetworkShared},
                         {"gpus", node.gpus_size()}});
  runtime::WaitForSignal();
  service.StopWatches();
  server->Shutdown(kShutdownGrace);
  return absl::OkStatus();
}

}  // namespace riseml::agent
