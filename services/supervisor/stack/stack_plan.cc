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
#include "services/supervisor/install/state.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kStartProbeTimeout = absl::Seconds(2);

std::string SignatureOf(const std::vector<std::string>& argv, absl::string_view config) {
  return absl::StrFormat("%08x", ExtendCrc32c(Crc32c(absl::StrJoin(argv, "\n")), config));
}

int PortIn(const config::v1::SupervisorState& state, absl::string_view listener) {
  const auto port = state.ports().find(std::string(listener));
  return port == state.ports().end() ? 0 : port->second;
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
    if (listener.name.empty()) continue;
    // The edge has the user ports if there is an edge.
    const bool has_port =
        listener.role == ListenerRole::kMetrics || (listener.role == ListenerRole::kUser && !state.edge());
    unit.endpoints.push_back({std::string(listener.name), listener.role, has_port ? PortIn(state, listener.name) : 0,
                              SocketAddressOf(state, listener.name)});
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
                                PortIn(state, listener.name), AddressOf(state, listener.name)});
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
  for (UnitPlan& unit : plan.units)
    unit.environment = unit.name == "agent" ? NodeEnvironment(layout.home) : plan.environment;
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
