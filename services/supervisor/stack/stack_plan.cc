#include <signal.h>

#include <future>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/status.h"
#include "services/supervisor/install/edge.h"
#include "services/supervisor/install/postgres.h"
#include "services/supervisor/install/registry.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kStartProbeTimeout = absl::Seconds(2);

std::string SignatureOf(const std::vector<std::string>& argv, absl::string_view config) {
  return absl::StrFormat("%08x", ExtendCrc32c(Crc32c(absl::StrJoin(argv, "\n")), config));
}

UnitPlan PlanDatabase(const Layout& layout, const config::v1::SupervisorState& state, const Programs& programs) {
  UnitPlan unit;
  unit.name = std::string(kDatabase);
  unit.argv = PostgresCommand(layout, programs.postgres_bin, state);
  unit.signature = SignatureOf(unit.argv, "");
  unit.stop_wave = kLastWave;
  unit.stop_signal = SIGINT;  // fast shutdown: sessions end, nothing is lost
  return unit;
}

Endpoint PlanEndpoint(const ListenerInfo& listener, const config::v1::SupervisorState& state) {
  const std::string name(listener.name);
  if (listener.role == ListenerRole::kImages) return {name, listener.role, PortOf(state, name), AddressOf(state, name)};
  // The edge has the user ports if there is an edge.
  const bool has_port =
      listener.role == ListenerRole::kMetrics || (listener.role == ListenerRole::kUser && !state.edge());
  return {name, listener.role, has_port ? PortOf(state, name) : 0, SocketAddressOf(state, name)};
}

UnitPlan PlanService(const ServiceInfo& service, const Layout& layout, const config::v1::SupervisorState& state,
                     const Programs& programs, const std::string& config) {
  UnitPlan unit;
  unit.name = std::string(service.name);
  unit.argv.push_back(absl::StrCat(programs.bin_dir, "/", service.program));
  if (!service.verb.empty()) unit.argv.emplace_back(service.verb);
  unit.argv.insert(unit.argv.end(), {"--config", layout.Config(service.name)});
  unit.signature = SignatureOf(unit.argv, config);
  unit.stop_wave = service.stop_wave;
  unit.stop_signal = SIGTERM;
  for (const ListenerInfo& listener : service.listeners) {
    if (listener.name.empty() || (listener.role == ListenerRole::kImages && !state.podman())) continue;
    unit.endpoints.push_back(PlanEndpoint(listener, state));
  }
  return unit;
}

// The edge stops after the services, which tell its clients that they stop.
UnitPlan PlanEdge(const Layout& layout, const config::v1::SupervisorState& state, const Programs& programs,
                  const std::string& config) {
  UnitPlan unit;
  unit.name = std::string(kEdge);
  unit.argv = EdgeCommand(layout, programs.haproxy);
  unit.signature = SignatureOf(unit.argv, config);
  unit.stop_wave = kLastWave;
  unit.stop_signal = SIGTERM;
  unit.takes_sockets = true;
  for (const ListenerInfo& listener : AllListeners())
    if (listener.role == ListenerRole::kUser || listener.name == kEdgeMetrics)
      unit.endpoints.push_back({std::string(listener.name),
                                listener.role == ListenerRole::kUser ? ListenerRole::kEdge : listener.role,
                                PortOf(state, listener.name), AddressOf(state, listener.name)});
  return unit;
}

// The registry stops after the services, which call it.
UnitPlan PlanRegistry(const Layout& layout, const config::v1::SupervisorState& state, const Programs& programs,
                      const std::string& config) {
  UnitPlan unit;
  unit.name = std::string(kRegistry);
  unit.argv = RegistryCommand(layout, programs.docker_registry);
  unit.signature = SignatureOf(unit.argv, config);
  unit.stop_wave = kLastWave;
  unit.stop_signal = SIGTERM;
  unit.endpoints.push_back(PlanEndpoint({kRegistry, ListenerRole::kImages}, state));
  return unit;
}

}  // namespace

StackPlan MakeStackPlan(const Layout& layout, const config::v1::SupervisorState& state, const Programs& programs,
                        const std::map<std::string, std::string>& configs) {
  StackPlan plan;
  plan.layout = layout;
  plan.state = state;
  plan.environment = ServiceEnvironment(layout.home);
  plan.units.push_back(PlanDatabase(layout, state, programs));
  const auto config_of = [&configs](absl::string_view unit) {
    const auto config = configs.find(std::string(unit));
    return config == configs.end() ? std::string() : config->second;
  };
  for (const ServiceInfo& service : kServices)
    plan.units.push_back(PlanService(service, layout, state, programs, config_of(service.name)));
  if (state.edge()) plan.units.push_back(PlanEdge(layout, state, programs, config_of(kEdge)));
  if (state.podman()) plan.units.push_back(PlanRegistry(layout, state, programs, config_of(kRegistry)));
  for (UnitPlan& unit : plan.units) {
    unit.environment = unit.name == kNode ? NodeEnvironment(layout.home) : plan.environment;
    unit.as_root = unit.name == kNode && state.podman();
  }
  const std::string api = programs.bin_dir + "/riseml-api";
  plan.migrate_command = {api, "migrate", "--config", layout.Config("api")};
  plan.bootstrap_command = {api, "bootstrap", "--config", layout.Config("api")};
  if (state.has_kafka())
    plan.topics_command = {programs.bin_dir + "/riseml-loghandler", "create-topics", "--config",
                           layout.Config("loghandler")};
  return plan;
}

std::vector<absl::Status> ProbeAll(const StackPlan& plan, const ProbeKeys& keys) {
  Prober prober(keys);
  struct Pending {
    std::size_t unit;
    std::future<absl::Status> answer;
  };
  std::vector<Pending> pending;
  std::vector<absl::Status> results(plan.units.size());
  for (std::size_t i = 0; i < plan.units.size(); ++i) {
    const absl::StatusOr<config::v1::ProcessRecord> record = ReadRecord(plan.layout.ProcessFile(plan.units[i].name));
    if (!record.ok() || !IsAlive(IdentityOf(*record))) {
      results[i] = Error(Reason::kUnavailable, "does not run");
      continue;
    }
    if (plan.units[i].name == kDatabase && ReadyPostgresPid(plan.layout) != record->pid())
      results[i] = Error(Reason::kUnavailable, "accepts no connections yet");
    for (const Endpoint& endpoint : plan.units[i].endpoints) {
      if (endpoint.role == ListenerRole::kMetrics) continue;
      auto answer = std::make_shared<std::promise<absl::Status>>();
      pending.push_back({i, answer->get_future()});
      prober.Ask(endpoint.address, endpoint.role, kStartProbeTimeout,
                 [answer](absl::Status status) { answer->set_value(std::move(status)); });
    }
  }
  for (Pending& one : pending) {
    const absl::Status status = one.answer.get();
    if (results[one.unit].ok()) results[one.unit] = status;
  }
  return results;
}

}  // namespace riseml::supervisor
