#include "services/supervisor/stack/stack.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/postgres.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/process/log_files.h"
#include "services/supervisor/process/process.h"

namespace riseml::supervisor {
namespace {

constexpr int kMostStarts = 6;                               // per unit; then the whole start fails, after about 3 s
constexpr absl::Duration kDatabaseLimit = absl::Minutes(5);  // recovery after a crash may take a while
constexpr absl::Duration kServicesLimit = absl::Minutes(2);
constexpr absl::Duration kPortLimit = absl::Seconds(5);
constexpr absl::Duration kRotationPeriod = absl::Seconds(5);
constexpr int kTailLines = 20;

}  // namespace

Stack::Stack(StackPlan plan, const Clock& clock, ProgressSender& progress)
    : plan_(std::move(plan)), clock_(clock), progress_(progress), answers_(std::make_shared<ProbeAnswers>()) {
  for (const UnitPlan& unit : plan_.units) units_.push_back(std::make_unique<SupervisedUnit>(unit, plan_.layout));
  migrate_ = {"migrate", "riseml-api", plan_.migrate_command, "", 0, false};
  bootstrap_ = {"bootstrap",
                "riseml-api",
                plan_.bootstrap_command,
                plan_.layout.PendingKey() + ".new",
                0,
                plan_.state.has_administrator()};
  topics_ = {"create-topics",
             "riseml-loghandler",
             plan_.topics_command,
             "",
             0,
             plan_.topics_command.empty() || plan_.state.has_topics()};
}

Stack::~Stack() = default;

SupervisedUnit* Stack::Find(absl::string_view name) {
  const auto it = std::find_if(units_.begin(), units_.end(), [&](const auto& unit) { return unit->name() == name; });
  return it == units_.end() ? nullptr : it->get();
}

bool Stack::IsHealthy(absl::string_view name) {
  const SupervisedUnit* unit = Find(name);
  return unit != nullptr && unit->state() == UnitState::kHealthy;
}

// Adopts units that an earlier supervisor left running, and stops those with another version or configuration.
absl::Status Stack::Adopt() {
  for (auto it = units_.rbegin(); it != units_.rend(); ++it) {
    SupervisedUnit& unit = **it;
    if (unit.Adopt(clock_.Now())) {
      LogInfo("unit_adopted", {{"unit", unit.name()}, {"pid", unit.pid()}});
      sockets_.Share(unit.plan(), unit.pid());
    } else if (unit.AdoptAny(clock_.Now())) {
      LogInfo("unit_replaced",
              {{"unit", unit.name()}, {"pid", unit.pid()}, {"why", "its program or configuration changed"}});
      StopNow(unit);
    }
  }
  SupervisedUnit& database = *Find(kDatabase);
  if (IsRunning(database.state())) return absl::OkStatus();
  if (const int pid = LivingPostgresPid(plan_.layout); pid > 0) {
    config::v1::ProcessRecord record;
    RISEML_RETURN_IF_ERROR(Identify(pid, record));
    RISEML_RETURN_IF_ERROR(WriteRecord(plan_.layout.PidFile(kDatabase), plan_.layout.ProcessFile(kDatabase), record));
    if (database.AdoptAny(clock_.Now())) StopNow(database);
  }
  return RemoveStaleLocks(plan_.layout, plan_.state);
}

absl::Status Stack::CheckPorts() {
  const absl::Time deadline = clock_.Now() + kPortLimit;
  while (true) {
    absl::Status taken;
    for (const auto& unit : units_) {
      if (IsRunning(unit->state())) continue;
      if (taken.ok()) taken = sockets_.Claim(unit->plan());
    }
    if (taken.ok() || clock_.Now() > deadline) return taken;
    WaitReadable(signals_.get(), absl::Milliseconds(100));
  }
}

absl::Status Stack::StartSupervision(ProbeKeys keys) {
  prober_ = std::make_unique<Prober>(std::move(keys));
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, number);
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return ErrnoError(errno, "watch for signals");
  // Makes orphans of services our children, so that they are reaped.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  RISEML_RETURN_IF_ERROR(Adopt());
  RISEML_RETURN_IF_ERROR(CheckPorts());
  start_deadline_ = clock_.Now() + kDatabaseLimit;
  return absl::OkStatus();
}

absl::Status Stack::Run(ProbeKeys keys) {
  if (absl::Status status = StartSupervision(std::move(keys)); !status.ok()) {
    failure_ = status;
    BeginStop(clock_.Now());
  }
  while (true) {
    const absl::Time now = clock_.Now();
    if (stopping_) {
      AdvanceStop(now);
      if (stop_wave_ > kLastWave) return failure_;
    } else {
      Advance(now);
      CheckStart(now);
      ShowProgress();
    }
    RotateLogs(now);
    WaitForEvents(now);
  }
}

void Stack::Advance(absl::Time now) {
  AdvanceTasks(now);
  for (auto& unit : units_) AdvanceUnit(*unit, now);
}

void Stack::AdvanceTasks(absl::Time now) {
  if (!migrate_.done && migrate_.pid == 0 && IsHealthy(kDatabase)) {
    start_deadline_ = now + kDatabaseLimit;
    StartTask(migrate_);
  }
  // An adopted api is healthy already.
  if (!bootstrap_.done && bootstrap_.pid == 0 && migrate_.done && IsHealthy("api")) StartTask(bootstrap_);
  if (!topics_.done && topics_.pid == 0 && migrate_.done) StartTask(topics_);
}

void Stack::StartTask(Task& task) {
  SpawnRequest request;
  request.argv = task.argv;
  request.environment = plan_.environment;
  request.log_file = plan_.layout.LogFile(task.name);
  request.output_file = task.output_file;
  const absl::StatusOr<pid_t> pid = Spawn(request, [](pid_t) { return absl::OkStatus(); });
  if (!pid.ok()) return Fail(std::string(pid.status().message()), task.name);
  task.pid = *pid;
}

void Stack::TaskEnded(Task& task, int wait_status) {
  task.pid = 0;
  if (wait_status != 0)
    return Fail(absl::StrCat(task.program, " ", task.name, " ended with ", DescribeExit(wait_status)), task.name);
  task.done = true;
  LogInfo("task_done", {{"task", task.name}});
  if (&task == &migrate_) start_deadline_ = clock_.Now() + kServicesLimit;
  if (&task == &topics_) {
    plan_.state.set_has_topics(true);
    KeepState();
  }
  if (task.output_file.empty()) return;
  // There is a key only if the administrator was made just now.
  const absl::StatusOr<std::string> output = ReadFile(task.output_file, 64 << 10);
  if (output.ok() && !absl::StripAsciiWhitespace(*output).empty()) {
    rename(task.output_file.c_str(), plan_.layout.PendingKey().c_str());
  } else {
    unlink(task.output_file.c_str());
  }
  plan_.state.set_has_administrator(true);
  KeepState();
}

// If this is not saved, the next start checks again.
void Stack::KeepState() {
  if (const absl::Status saved = SaveState(plan_.layout, plan_.state); !saved.ok())
    LogWarning("state_not_saved", {{"error", saved.message()}});
}

void Stack::CheckStart(absl::Time now) {
  if (ready_) return;
  for (const auto& unit : units_) {
    if (unit->exits() >= kMostStarts) return Fail(absl::StrCat(unit->name(), " does not stay up"), unit->name());
    if (now > start_deadline_ && unit->state() != UnitState::kHealthy)
      return Fail(absl::StrCat(unit->name(), " did not become healthy in time"), unit->name());
  }
  const bool all =
      std::all_of(units_.begin(), units_.end(), [](const auto& unit) { return unit->state() == UnitState::kHealthy; });
  if (!all || !bootstrap_.done || !topics_.done) return;
  ready_ = true;
  LogInfo("stack_ready");
}

void Stack::ShowProgress() {
  if (!IsHealthy(kDatabase) && !ready_) return progress_.Step("database", "starting");
  std::vector<std::string> open;
  for (const auto& unit : units_)
    if (unit->state() != UnitState::kHealthy) open.push_back(unit->name());
  if (!migrate_.done) return progress_.Step("database", "bringing the schema up to date");
  progress_.Done("database");
  if (!topics_.done && open.empty()) return progress_.Step("services", "making the topics of Kafka");
  if (!ready_) return progress_.Step("services", absl::StrCat("waiting for ", absl::StrJoin(open, ", ")));
  progress_.Done("services");
  progress_.Ready();
}

void Stack::Fail(const std::string& message, const std::string& log_name) {
  if (stopping_) return;
  const std::string log = plan_.layout.LogFile(log_name);
  LogError("start_failed", {{"unit", log_name}, {"error", message}});
  const std::string shown = absl::StrCat(plan_.layout.dir, "/logs/", log_name, ".log");
  failure_ = absl::UnavailableError(absl::StrCat(message, EndOfLog(log, shown, kTailLines)));
  BeginStop(clock_.Now());
}

absl::Time Stack::NextDue() const {
  absl::Time due = next_rotation_;
  if (stopping_) return std::min(due, wave_deadline_);
  if (!ready_) due = std::min(due, start_deadline_);
  for (const auto& unit : units_) {
    if (IsRunning(unit->state())) {
      if (!unit->probing() && MayProbe(*unit)) due = std::min(due, unit->next_probe());
    } else {
      due = std::min(due, unit->next_start());
    }
  }
  return due;
}

void Stack::WaitForEvents(absl::Time now) {
  std::vector<pollfd> fds = {{signals_.get(), POLLIN, 0}, {answers_->fd(), POLLIN, 0}};
  for (const auto& unit : units_)
    if (unit->watch_fd() >= 0) fds.push_back({unit->watch_fd(), POLLIN, 0});
  const absl::Duration wait = std::clamp(NextDue() - now, absl::ZeroDuration(), kRotationPeriod);
  poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)))));
  HandleSignals();
  Reap();
  const absl::Time later = clock_.Now();
  for (auto& unit : units_) {
    pollfd one = {unit->watch_fd(), POLLIN, 0};
    if (one.fd < 0 || poll(&one, 1, 0) != 1) continue;
    unit->Exited(HowItEnded(unit->pid()), later);
  }
  TakeAnswers(later);
  reaped_.clear();
}

void Stack::HandleSignals() {
  signalfd_siginfo info = {};
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;
    LogInfo("stopping", {{"signal", info.ssi_signo}});
    if (!ready_) failure_ = absl::CancelledError("stopped while starting");
    BeginStop(clock_.Now());
  }
}

void Stack::Reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto task = std::ranges::find_if(tasks_, [pid](const Task* one) { return one->pid == pid; });
    if (task == tasks_.end()) {
      reaped_[pid] = status;
    } else {
      TaskEnded(**task, status);
    }
  }
}

std::string Stack::HowItEnded(pid_t pid) {
  int status = 0;
  if (const auto found = reaped_.find(pid); found != reaped_.end()) return DescribeExit(found->second);
  // The end may be visible a moment before waitpid can return it. A process of an earlier supervisor is not our child.
  if (waitpid(pid, &status, 0) == pid) return DescribeExit(status);
  return "unknown";
}

void Stack::RotateLogs(absl::Time now) {
  if (now < next_rotation_) return;
  next_rotation_ = now + kRotationPeriod;
  std::vector<absl::string_view> names = {kSupervisor, "migrate", "bootstrap", "create-topics"};
  for (const auto& unit : units_) names.push_back(unit->name());
  for (absl::string_view name : names) {
    if (absl::Status status = RotateLog(plan_.layout.LogFile(name)); !status.ok())
      LogWarning("log_not_rotated", {{"log", name}, {"error", status.message()}});
  }
}

}  // namespace riseml::supervisor
