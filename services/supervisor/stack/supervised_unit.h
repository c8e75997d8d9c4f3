// Process that the supervisor keeps running: it is started or adopted, probed and stopped. Used by one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/unit.h"

namespace riseml::supervisor {

struct Endpoint {
  std::string listener;  // "api.user"
  ListenerRole role = ListenerRole::kInternal;
  int port = 0;         // 0: none
  std::string address;  // for health checks
};

struct UnitPlan {
  std::string name;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string signature;            // hash of command line and configuration
  std::vector<Endpoint> endpoints;  // empty for PostgreSQL
  bool takes_sockets = false;       // the supervisor opens the ports and passes the sockets on
  bool as_root = false;             // runs with the root's rights that the supervisor keeps, if it keeps any
  int stop_wave = 0;
  int stop_signal = 0;
};

class SupervisedUnit {
 public:
  SupervisedUnit(UnitPlan plan, Layout layout) : plan_(std::move(plan)), layout_(std::move(layout)) {}

  const UnitPlan& plan() const { return plan_; }
  const std::string& name() const { return plan_.name; }
  UnitState state() const { return state_; }
  int pid() const { return record_.pid(); }
  // Descriptor that is readable when the process has ended; -1 while none runs.
  int watch_fd() const { return watch_.get(); }
  absl::Time next_start() const { return next_start_; }
  absl::Time next_probe() const { return next_probe_; }
  int exits() const { return exits_; }  // since this supervisor started
  int generation() const { return generation_; }
  bool probing() const { return probing_; }
  // True if it runs but has missed so many probes in a row that it is considered hung.
  bool IsDeaf() const { return state_ == UnitState::kSilent && unanswered_ >= kMostUnanswered; }

  // Adopts a live process of an earlier supervisor if it runs exactly this program with exactly this configuration.
  bool Adopt(absl::Time now);
  // Adopts any live process that the record names, in order to stop it.
  bool AdoptAny(absl::Time now);

  // Starts the process. Passes `sockets`, by listener, to a unit that takes them.
  absl::Status Start(absl::Time now, const std::map<std::string, UniqueFd>& sockets);
  // Notes that the process cannot be started now; the start is tried again later.
  void NotStarted(absl::Time now);
  // Notes the end of a round of probes of generation().
  void ProbeEnded(bool answered, absl::Time now);
  void ProbeStarted() { probing_ = true; }
  // Notes that the process has ended; `how` is for the log.
  void Exited(absl::string_view how, absl::Time now);
  // Asks the process to stop. No effect if it does not run.
  void Stop();
  // Errors are ignored: a process that has ended needs no signal.
  void Send(int signal) const;

 private:
  static constexpr int kMostUnanswered = 5;  // probes in a row

  void Go(UnitEvent event);
  bool Take(const config::v1::ProcessRecord& record, absl::StatusOr<UniqueFd> process, absl::Time now);
  absl::StatusOr<UniqueFd> OpenRecordedHere(const config::v1::ProcessRecord& record) const;
  void ScheduleProbe(absl::Duration after, absl::Time now);

  UnitPlan plan_;
  Layout layout_;
  UnitState state_ = UnitState::kDown;
  config::v1::ProcessRecord record_;
  UniqueFd watch_;
  RestartDelay delay_;
  absl::Duration probe_interval_;
  absl::Time next_start_ = absl::InfinitePast();
  absl::Time next_probe_ = absl::InfiniteFuture();
  std::optional<absl::Time> healthy_since_;
  int unanswered_ = 0;
  int exits_ = 0;
  int generation_ = 0;
  bool probing_ = false;
};

}  // namespace riseml::supervisor
