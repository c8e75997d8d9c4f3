#include "services/supervisor/commands.h"

#include <fcntl.h>
#include <google/protobuf/util/message_differencer.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/admin_key.h"
#include "services/supervisor/install/client_context.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/lock.h"
#include "services/supervisor/install/runtime.h"
#include "services/supervisor/install/service_configs.h"
#include "services/supervisor/install/settings.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/probe.h"
#include "services/supervisor/stack/progress.h"
#include "services/supervisor/stack/stack.h"
#include "services/supervisor/stack/supervisor_process.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kHealthLimit = absl::Seconds(60);
constexpr absl::Duration kStopLimit = absl::Minutes(3);
constexpr char kOlder[] =
    "The services that run are older than the programs on the disk; `riseml down && riseml up` starts the new ones.";
constexpr absl::Duration kPollPeriod = absl::Milliseconds(50);

// Pid of the process to stop when the user interrupts `up`. Set before the handler is installed.
std::atomic<pid_t> g_supervising{0};
std::atomic<bool> g_interrupted{false};

void Interrupt(int) {
  g_interrupted = true;
  if (const pid_t pid = g_supervising.load(); pid > 0) kill(pid, SIGTERM);
}

void ForwardInterrupts(pid_t to) {
  g_supervising = to;
  struct sigaction action = {};
  action.sa_handler = Interrupt;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

void Pause() { poll(nullptr, 0, static_cast<int>(absl::ToInt64Milliseconds(kPollPeriod))); }

void Say(absl::string_view text) { std::fprintf(stdout, "%s\n", std::string(text).c_str()); }

// Data of an installation that has been started before, as needed to inspect and to stop it.
struct Installation {
  UniqueFd sockets;
  StackPlan plan;
  ProbeKeys keys;
};

absl::StatusOr<Installation> Open(const std::string& dir) {
  const Layout layout{dir, dir};
  RISEML_ASSIGN_OR_RETURN(config::v1::SupervisorState state, LoadState(layout));
  Installation installation;
  if (!FileExists(state.postgres_socket_dir())) {
    // The services see this directory at another path (private_mount.h). Its path here may be too long for the address
    // of a socket.
    RISEML_ASSIGN_OR_RETURN(installation.sockets, OpenFile(layout.In("run"), O_PATH | O_DIRECTORY));
    state.set_postgres_socket_dir(absl::StrCat("/proc/self/fd/", installation.sockets.get()));
  }
  installation.plan = MakeStackPlan(layout, state, Programs(), {});
  RISEML_ASSIGN_OR_RETURN(installation.keys, LoadProbeKeys(SupervisorTls(layout)));
  return installation;
}

// True if a program on the disk has been replaced since its service was started.
bool RunsReplacedPrograms(const Installation& installation) {
  return std::ranges::any_of(installation.plan.units, [&](const UnitPlan& unit) {
    const auto record = ReadRecord(installation.plan.layout.ProcessFile(unit.name));
    if (!record.ok() || !IsAlive(IdentityOf(*record))) return false;
    std::error_code error;
    const auto program = std::filesystem::read_symlink(absl::StrCat("/proc/", record->pid(), "/exe"), error);
    return !error && absl::EndsWith(program.string(), " (deleted)");
  });
}

std::string Unhealthy(const Installation& installation) {
  const std::vector<absl::Status> results = ProbeAll(installation.plan, installation.keys);
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < results.size(); ++i)
    if (!results[i].ok()) parts.push_back(absl::StrCat(installation.plan.units[i].name, ": ", results[i].message()));
  return absl::StrJoin(parts, "; ");
}

absl::Status TellClient(const std::string& dir) {
  const Layout layout{dir, dir};
  RISEML_ASSIGN_OR_RETURN(const config::v1::SupervisorState state, LoadState(layout));
  RISEML_ASSIGN_OR_RETURN(const std::string sentence, UpdateClientContext(layout, state));
  if (!sentence.empty()) Say(sentence);
  return absl::OkStatus();
}

// Handles `up` while another process supervises, which may be starting, running or stopping.
absl::Status AlreadyUp(const std::string& dir) {
  const SystemClock clock;
  const absl::Time deadline = clock.Now() + kHealthLimit;
  std::string why = "the installation is still being created";
  while (clock.Now() < deadline) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<UniqueFd> lock, TryLock(dir));
    if (lock.has_value())
      return Error(Reason::kUnavailable,
                   absl::StrCat("RiseML in ", dir, " was stopped meanwhile; run `riseml up` again"));
    if (const absl::StatusOr<Installation> installation = Open(dir); installation.ok()) {
      why = Unhealthy(*installation);
      if (why.empty()) {
        Say(absl::StrCat("RiseML is already up in ", dir, "."));
        if (installation->plan.state.podman()) Say(kRunsContainers);
        if (RunsReplacedPrograms(*installation)) Say(kOlder);
        return TellClient(dir);
      }
    }
    Pause();
  }
  return Error(Reason::kUnavailable, absl::StrCat("RiseML in ", dir, " runs but is not healthy (", why, "); see ", dir,
                                                  "/logs, or restart it with `riseml down` and `riseml up`"));
}

absl::Status FollowStart(pid_t supervising, int pipe, const std::string& dir, const Runtime& runtime) {
  ForwardInterrupts(supervising);
  ProgressView view(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1);
  const absl::Status status = FollowProgress(pipe, view, dir + "/logs/supervisor.log");
  if (status.ok()) {
    Say(absl::StrCat("RiseML is up in ", dir, "."));
    if (runtime.podman) Say(kRunsContainers);
    return TellClient(dir);
  }
  // Waits for the supervising process, which is ending: its end frees the lock for the next try.
  while (waitpid(supervising, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (g_interrupted) return absl::CancelledError("interrupted; what had been started was stopped");
  return status;
}

// Stops the supervisor that holds the lock and waits until the lock is free.
absl::Status StopSupervisor(const Layout& layout) {
  const SystemClock clock;
  const absl::Time deadline = clock.Now() + kStopLimit;
  RISEML_ASSIGN_OR_RETURN(const uid_t account, AccountOf(layout));
  bool told = false;
  while (clock.Now() < deadline) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<UniqueFd> lock, TryLock(layout.dir));
    if (lock.has_value()) return absl::OkStatus();
    // A supervisor that is just starting may not have written its record yet.
    const absl::StatusOr<config::v1::ProcessRecord> record = ReadRecord(layout.ProcessFile(kSupervisor));
    const absl::StatusOr<UniqueFd> watch =
        record.ok() ? OpenRecorded(*record, account, layout.Config(kNode)) : record.status();
    if (absl::IsPermissionDenied(watch.status()))
      return While("stop the supervisor; find it by `pgrep riseml-superv` and end it", watch.status());
    if (watch.ok() && !told) {
      RISEML_RETURN_IF_ERROR(SignalProcess(*watch, SIGTERM));
      told = true;
    }
    pollfd one = {watch.ok() ? watch->get() : -1, POLLIN, 0};
    poll(&one, 1, static_cast<int>(absl::ToInt64Milliseconds(kPollPeriod)));
  }
  return absl::DeadlineExceededError(absl::StrCat("RiseML in ", layout.dir, " did not stop within ",
                                                  absl::FormatDuration(kStopLimit), "; see ", layout.dir,
                                                  "/logs/supervisor.log"));
}

// Stops what a dead supervisor has left running.
void StopLeftovers(const std::string& dir) {
  const absl::StatusOr<Installation> installation = Open(dir);
  if (!installation.ok()) return;
  const SystemClock clock;
  ProgressSender nobody{UniqueFd()};
  SetLogName(kSupervisor);
  Stack(installation->plan, clock, nobody).StopLeftovers();
}

// Returns an error for variables that say something else than the last start was told.
absl::Status RefuseSettings(const std::string& dir) {
  const absl::StatusOr<config::v1::SupervisorState> state = LoadState({dir, dir});
  if (!state.ok()) return absl::OkStatus();  // the installation is being made
  config::v1::SupervisorState changed = *state;
  RISEML_RETURN_IF_ERROR(TakeSettings(&changed));
  if (google::protobuf::util::MessageDifferencer::Equals(changed, *state)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "RiseML is up, and the variables RISEML_… for `up` are read at its start; run `riseml down` first, then the same "
      "command again");
}

// Returns an error for options that only a start can take.
absl::Status RefuseStartOptions(const Options& options) {
  const std::pair<absl::string_view, bool> given[] = {
      {"--data", !options.data.empty()}, {"--kafka", !options.kafka.empty()}, {"--runtime", !options.runtime.empty()}};
  for (const auto& [name, is_given] : given)
    if (is_given)
      return absl::FailedPreconditionError(absl::StrCat(
          "RiseML is up, and ", name, " is set at its start; run `riseml down` first, then the same command again"));
  return absl::OkStatus();
}

}  // namespace

absl::Status Up(const Options& options) {
  std::string dir;
  RISEML_RETURN_IF_ERROR(ResolveDirectory(options.dir, &dir));
  SuperviseRequest request;
  RISEML_ASSIGN_OR_RETURN(request.programs, FindPrograms(options.bin_dir));
  RISEML_RETURN_IF_ERROR(PrepareDirectory(dir));
  RISEML_ASSIGN_OR_RETURN(std::optional<UniqueFd> lock, TryLock(dir));
  if (!lock.has_value()) {
    RISEML_RETURN_IF_ERROR(RefuseStartOptions(options));
    RISEML_RETURN_IF_ERROR(RefuseSettings(dir));
    return AlreadyUp(dir);
  }
  RISEML_ASSIGN_OR_RETURN(request.runtime, ChooseRuntime(dir, options.runtime));
  if (request.runtime.podman) {
    RISEML_ASSIGN_OR_RETURN(request.programs.docker_registry, FindContainerPrograms());
  }
  // A node that runs with root's rights could not be stopped by a supervisor that has given them up.
  if (request.runtime.changed) StopLeftovers(dir);
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  UniqueFd read_end(pipe_ends[0]);
  request.dir = dir;
  request.data = options.data;
  request.kafka = options.kafka;
  request.lock = *std::move(lock);
  request.progress = UniqueFd(pipe_ends[1]);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return ErrnoError(errno, "start the supervising process");
  if (child == 0) {
    read_end.Reset();
    _exit(Supervise(std::move(request)));
  }
  request.lock.Reset();
  request.progress.Reset();
  return FollowStart(child, read_end.get(), dir, request.runtime);
}

absl::Status AdminKey(const Options& options) {
  std::string dir;
  RISEML_RETURN_IF_ERROR(ResolveDirectory(options.dir, &dir));
  RISEML_RETURN_IF_ERROR(RequireInstallation(dir));
  RISEML_ASSIGN_OR_RETURN(Programs programs, FindPrograms(options.bin_dir));
  if (const auto installation = Open(dir); installation.ok() && RunsReplacedPrograms(*installation))
    return absl::FailedPreconditionError(kOlder);
  RISEML_RETURN_IF_ERROR(MakeAdminKey(dir, std::move(programs)));
  return TellClient(dir);
}

absl::Status Down(const Options& options) {
  std::string dir;
  RISEML_RETURN_IF_ERROR(ResolveDirectory(options.dir, &dir));
  RISEML_RETURN_IF_ERROR(RequireInstallation(dir));
  const Layout layout{dir, dir};
  RISEML_ASSIGN_OR_RETURN(const std::optional<UniqueFd> lock, TryLock(dir));
  if (!lock.has_value()) {
    RISEML_RETURN_IF_ERROR(StopSupervisor(layout));
  } else {
    StopLeftovers(dir);
  }
  Say(absl::StrCat("RiseML is down in ", dir, ". Running jobs go on; the next `riseml up` finds out how they ended."));
  return absl::OkStatus();
}

absl::StatusOr<bool> PrintStatus(const Options& options) {
  std::string dir;
  RISEML_RETURN_IF_ERROR(ResolveDirectory(options.dir, &dir));
  RISEML_RETURN_IF_ERROR(RequireInstallation(dir));
  const absl::StatusOr<Installation> installation = Open(dir);
  if (!installation.ok()) {
    Say(absl::StrCat("RiseML in ", dir, " has not been started yet."));
    return false;
  }
  const std::vector<absl::Status> results = ProbeAll(installation->plan, installation->keys);
  bool healthy = true;
  Say(absl::StrFormat("%-12s %-8s %-22s %s", "SERVICE", "PID", "ADDRESS", "STATE"));
  for (std::size_t i = 0; i < results.size(); ++i) {
    const UnitPlan& unit = installation->plan.units[i];
    healthy = healthy && results[i].ok();
    const absl::StatusOr<config::v1::ProcessRecord> record =
        ReadRecord(installation->plan.layout.ProcessFile(unit.name));
    const std::string pid = record.ok() && IsAlive(IdentityOf(*record)) ? absl::StrCat(record->pid()) : "-";
    const bool has_port = !unit.endpoints.empty() && unit.endpoints.front().port != 0;
    const std::string address = has_port ? absl::StrCat("127.0.0.1:", unit.endpoints.front().port) : "local socket";
    Say(absl::StrFormat("%-12s %-8s %-22s %s", unit.name, pid, address,
                        results[i].ok() ? "healthy" : std::string(results[i].message())));
  }
  // If the lock can be taken, no supervisor is running.
  const auto lock = TryLock(dir);
  if (!lock.ok() || !lock->has_value()) return healthy;
  Say("The supervisor is not running: a service that ends is not started again. Run `riseml up`.");
  return false;
}

}  // namespace riseml::supervisor
