// Stack of all units: starts them in order of dependency, reports when all are healthy, restarts units that die, and
// stops them in reverse order.
#pragma once

#include <sys/types.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/common/base/clock.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/programs.h"
#include "services/supervisor/stack/probe.h"
#include "services/supervisor/stack/probe_answers.h"
#include "services/supervisor/stack/progress.h"
#include "services/supervisor/stack/supervised_unit.h"
#include "services/supervisor/stack/unit_sockets.h"

namespace riseml::supervisor {

struct StackPlan {
  Layout layout;
  config::v1::SupervisorState state;
  std::vector<UnitPlan> units;
  std::vector<std::string> environment;
  std::vector<std::string> migrate_command;    // updates the schema of the database
  std::vector<std::string> bootstrap_command;  // makes the first administrator; prints the key
  std::vector<std::string> topics_command;     // makes the topics of Kafka; empty without Kafka
};

// Plans the processes to run from the choices of the installation. `configs` are the texts of the configuration files
// by service.
StackPlan MakeStackPlan(const Layout& layout, const config::v1::SupervisorState& state, const Programs& programs,
                        const std::map<std::string, std::string>& configs);

// Checks the health of all units of the plan in parallel. Returns one entry per unit, in the order of the plan.
std::vector<absl::Status> ProbeAll(const StackPlan& plan, const ProbeKeys& keys);

// Used by one thread, which must have SIGTERM, SIGINT and SIGCHLD blocked.
class Stack {
 public:
  // `clock` and `progress` must outlive this.
  Stack(StackPlan plan, const Clock& clock, ProgressSender& progress);
  ~Stack();

  // Runs the stack until SIGTERM or SIGINT; all units have stopped when this returns. Returns an error for the user if
  // the start failed.
  absl::Status Run(ProbeKeys keys);

  // Stops units that an earlier supervisor left running.
  void StopLeftovers();

 private:
  struct Task {
    std::string name;
    std::string program;
    std::vector<std::string> argv;
    std::string output_file;
    pid_t pid = 0;
    bool done = false;
  };

  absl::Status Adopt();
  absl::Status CheckPorts();
  absl::Status StartSupervision(ProbeKeys keys);
  void Advance(absl::Time now);
  void AdvanceTasks(absl::Time now);
  void AdvanceUnit(SupervisedUnit& unit, absl::Time now);
  void AdvanceStop(absl::Time now);
  void CheckStart(absl::Time now);
  void StartProbe(SupervisedUnit& unit, absl::Time now);
  bool MayProbe(const SupervisedUnit& unit) const;
  void TakeAnswers(absl::Time now);
  void KillDeaf(SupervisedUnit& unit, const absl::Status& why);
  void StartTask(Task& task);
  void TaskEnded(Task& task, int wait_status);
  void KeepState();
  void Fail(const std::string& message, const std::string& log_name);
  void BeginStop(absl::Time now);
  void ShowProgress();
  void WaitForEvents(absl::Time now);
  void HandleSignals();
  void Reap();
  std::string HowItEnded(pid_t pid);
  void RotateLogs(absl::Time now);
  void StopNow(SupervisedUnit& unit);
  absl::Time NextDue() const;
  SupervisedUnit* Find(absl::string_view name);
  bool IsHealthy(absl::string_view name);

  StackPlan plan_;
  const Clock& clock_;
  ProgressSender& progress_;
  std::vector<std::unique_ptr<SupervisedUnit>> units_;
  UnitSockets sockets_;
  Task migrate_, bootstrap_, topics_;
  const std::array<Task*, 3> tasks_{&migrate_, &bootstrap_, &topics_};
  std::shared_ptr<ProbeAnswers> answers_;
  std::unique_ptr<Prober> prober_;
  UniqueFd signals_;
  std::map<pid_t, int> reaped_;  // wait statuses of children that have not been handled yet
  absl::Status failure_;
  bool ready_ = false;
  bool stopping_ = false;
  int stop_wave_ = 0;
  absl::Time wave_deadline_ = absl::InfiniteFuture();
  absl::Time start_deadline_ = absl::InfiniteFuture();
  absl::Time next_rotation_ = absl::InfinitePast();
};

}  // namespace riseml::supervisor
