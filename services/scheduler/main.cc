// riseml-scheduler: decides which job runs where, and starts and stops it there.
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "riseml/config/v1/scheduler.pb.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"
#include "services/scheduler/cluster/local_cluster.h"
#include "services/scheduler/controller/api/grpc_api.h"
#include "services/scheduler/controller/controller.h"
#include "services/scheduler/controller/loop.h"

namespace riseml::scheduler {
namespace {

constexpr int kNodeThreads = 8;
constexpr int kBuilderThreads = 4;
constexpr int kImageThreads = 8;

absl::Duration DurationOf(const google::protobuf::Duration& duration, absl::Duration otherwise) {
  const absl::Duration given = FromProtoDuration(duration);
  return given == absl::ZeroDuration() ? otherwise : given;
}

// Unlike in other durations, 0 means zero and not the default.
absl::Duration ImpossibleAfter(const config::v1::SchedulerConfig& config) {
  return config.has_impossible_after() ? DurationOf(config.impossible_after(), absl::ZeroDuration())
                                       : ControllerOptions().impossible_after;
}

absl::Status Check(const config::v1::SchedulerConfig& config) {
  std::string problems;
  const auto require = [&](bool holds, absl::string_view what) {
    if (!holds) absl::StrAppend(&problems, problems.empty() ? "" : "; ", what);
  };
  require(!config.api_address().empty(), "api_address must be set");
  require(!config.builder_address().empty(), "builder_address must be set");
  require(!config.holder().empty(), "holder must be set");
  require(!config.internal_listener().address().empty(), "internal_listener.address must be set");
  require(config.nodes_size() > 0, "nodes must name a node");
  require(DurationOf(config.lease(), absl::Seconds(15)) >= absl::Seconds(1), "lease must be 1s or more");
  require(DurationOf(config.node_silence_limit(), absl::Seconds(15)) >= absl::Seconds(6),
          "node_silence_limit must be 6s or more: nodes report every 5s");
  require(DurationOf(config.node_lost_after(), absl::Minutes(15)) >=
              DurationOf(config.node_silence_limit(), absl::Seconds(15)),
          "node_lost_after must not be less than node_silence_limit");
  std::set<std::string> names;
  for (const auto& node : config.nodes()) {
    require(!node.name().empty() && !node.address().empty(), "a node must have name and address");
    require(names.insert(node.name()).second, absl::StrCat("node ", node.name(), " is named twice"));
  }
  if (problems.empty()) return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("configuration: ", problems));
}

absl::Status Run(const runtime::Arguments& arguments) {
  config::v1::SchedulerConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  RISEML_RETURN_IF_ERROR(Check(config));
  if (arguments.check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  const SystemClock clock;
  SchedulerMetrics metrics(*metrics::ProcessRegistry());
  std::vector<LocalCluster::Member> members;
  for (const auto& node : config.nodes()) {
    RISEML_ASSIGN_OR_RETURN(auto channel, rpc::ServiceChannel(node.address(), config.client_tls()));
    members.push_back({node.name(), node.address(), std::move(channel)});
  }
  RISEML_ASSIGN_OR_RETURN(const auto api_channel, rpc::ServiceChannel(config.api_address(), config.client_tls()));
  RISEML_ASSIGN_OR_RETURN(const auto builder_channel,
                          rpc::ServiceChannel(config.builder_address(), config.client_tls()));
  GrpcApi api(api_channel);
  GrpcEnvironments environments(builder_channel);
  LocalCluster cluster(std::move(members), clock);
  Mailbox<NodeCallResult> node_calls;
  Mailbox<EnvironmentAnswer> answers;
  ThreadExecutor node_executor(kNodeThreads);
  ThreadExecutor builder_executor(kBuilderThreads);
  ThreadExecutor image_executor(kImageThreads);
  Controller controller({.holder = config.holder(),
                         .lease = DurationOf(config.lease(), absl::Seconds(15)),
                         .node_silence_limit = DurationOf(config.node_silence_limit(), absl::Seconds(15)),
                         .node_lost_after = DurationOf(config.node_lost_after(), absl::Minutes(15)),
                         .impossible_after = ImpossibleAfter(config)},
                        {api, cluster, environments, node_executor, builder_executor, image_executor, node_calls,
                         answers, clock, metrics});
  Loop loop(controller, clock);
  const auto wake = [&loop] { loop.Wake(); };
  api.SetWake(wake);
  cluster.SetWake(wake);
  node_calls.SetWake(wake);
  answers.SetWake(wake);

  const metrics::Exposer exposer(config.metrics_address());
  rpc::ServerOptions options;
  options.kind = rpc::ListenerKind::kInternal;
  options.listener = config.internal_listener();
  RISEML_ASSIGN_OR_RETURN(const auto server, rpc::Server::Start(std::move(options)));
  cluster.Run();
  loop.Start();
  LogInfo("started", {{"port", server->port()}, {"holder", config.holder()}, {"nodes", config.nodes_size()}});
  runtime::WaitForSignal();

  runtime::StopGroup stops;  // in reverse order: first no new decisions, then running work ends
  stops.Add([&] { server->Shutdown(absl::Seconds(1)); });
  stops.Add([&] { api.Shutdown(); });
  stops.Add([&] { cluster.Shutdown(); });
  stops.Add([&] { node_executor.Stop(); });
  stops.Add([&] { builder_executor.Stop(); });
  stops.Add([&] { image_executor.Stop(); });
  stops.Add([&] { loop.Stop(); });
  stops.StopAll();
  return absl::OkStatus();
}

}  // namespace
}  // namespace riseml::scheduler

int main(int argc, char** argv) {
  const auto arguments = riseml::runtime::ParseArguments(argc, argv, "riseml-scheduler",
                                                         "Decides which job runs where and sees to it that it does.");
  return riseml::runtime::RunMain("scheduler", [&] { return riseml::scheduler::Run(arguments); });
}
