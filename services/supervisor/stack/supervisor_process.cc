#include "services/supervisor/stack/supervisor_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/own_environment.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/account.h"
#include "services/supervisor/install/edge.h"
#include "services/supervisor/install/enter_account.h"
#include "services/supervisor/install/postgres.h"
#include "services/supervisor/install/secrets.h"
#include "services/supervisor/install/service_configs.h"
#include "services/supervisor/install/settings.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/install/surroundings.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/progress.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

absl::Status LeaveTerminal(const Layout& layout) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd null, OpenFile("/dev/null", O_RDWR));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log,
                          OpenFile(layout.LogFile(kSupervisor), O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (dup2(null.get(), STDIN_FILENO) < 0 || dup2(log.get(), STDOUT_FILENO) < 0 || dup2(log.get(), STDERR_FILENO) < 0)
    return ErrnoError(errno, "redirect output to the supervisor's log");
  if (chdir("/") != 0) return ErrnoError(errno, "change to /");
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return absl::OkStatus();
}

// Limit of open files for the units of this process.
std::int64_t MaxFiles() {
  rlimit files = {};
  constexpr std::int64_t kMost = 1 << 20;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
  return files.rlim_cur < kMost ? static_cast<std::int64_t>(files.rlim_cur) : kMost;
}

// Size of the file system of the outputs; 0: unknown.
std::int64_t OutputBytes(const Layout& layout) {
  struct statvfs disk {};
  if (statvfs(layout.In("output").c_str(), &disk) != 0) return 0;
  return static_cast<std::int64_t>(disk.f_blocks * disk.f_frsize);
}

absl::Status RecordOurselves(const Layout& layout) {
  config::v1::ProcessRecord record;
  RISEML_RETURN_IF_ERROR(Identify(getpid(), record));
  return WriteRecord(layout.PidFile(kSupervisor), layout.ProcessFile(kSupervisor), record);
}

// Makes what the registry and the containers of the installation need.
absl::Status PrepareContainers(const Layout& layout, const Clock& clock) {
  for (const std::string& path : {layout.Registry(), layout.Spool(), layout.Containers()})
    RISEML_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  return While("make the certificates of the registry's tokens", EnsureTokenCertificates(layout, clock.Now()));
}

// Makes or updates everything that a start needs.
absl::StatusOr<StackPlan> Prepare(const Layout& layout, const SuperviseRequest& request, const Clock& clock,
                                  ProgressSender& progress) {
  const Programs& programs = request.programs;
  RISEML_RETURN_IF_ERROR(MakeSubdirectories(layout));
  progress.Step("certificates", "making");
  RISEML_RETURN_IF_ERROR(While("make certificates", EnsureCertificates(layout, clock.Now())));
  RISEML_RETURN_IF_ERROR(While("make the keys", EnsureKeys(layout)));
  if (request.runtime.podman) RISEML_RETURN_IF_ERROR(PrepareContainers(layout, clock));
  progress.Done("certificates");

  absl::StatusOr<config::v1::SupervisorState> state = LoadState(layout);
  if (HasReason(state.status(), Reason::kNotFound)) state = config::v1::SupervisorState();
  RISEML_RETURN_IF_ERROR(state.status());
  state->set_podman(request.runtime.podman);
  RISEML_RETURN_IF_ERROR(CompleteState(layout, &*state));
  state->set_edge(!programs.haproxy.empty());
  if (!state->edge()) progress.Note(kNoEdge);
  if (!state->podman()) {
    for (const std::string& note : NotesOnIsolation()) progress.Note(note);
  }
  RISEML_RETURN_IF_ERROR(TakeSettings(&*state));
  RISEML_RETURN_IF_ERROR(TakeDataPaths(request.data, layout, &*state));
  if (!request.kafka.empty()) state->clear_has_topics();
  if (request.kafka == "none") {
    state->clear_kafka();
  } else if (!request.kafka.empty()) {
    state->mutable_kafka()->set_brokers(request.kafka);
  }
  // A missing database is made anew and then has no administrator.
  if (!HasCluster(layout)) state->clear_has_administrator();
  RISEML_RETURN_IF_ERROR(While("keep the supervisor's state", SaveState(layout, *state)));
  RISEML_ASSIGN_OR_RETURN(const auto configs, RenderConfigs({layout, *state, programs.python_client_dir,
                                                             InterpreterDirs(), MaxFiles(), OutputBytes(layout)}));
  RISEML_RETURN_IF_ERROR(While("write the services' configuration", WriteConfigs(layout, configs)));

  progress.Step("database", "making");
  RISEML_RETURN_IF_ERROR(EnsureCluster(layout, programs.postgres_bin));
  return MakeStackPlan(layout, *state, programs, configs);
}

absl::Status RunStack(SuperviseRequest& request, ProgressSender& progress) {
  setsid();
  umask(077);
  RISEML_ASSIGN_OR_RETURN(const Account account, FindOrMakeAccount());
  const bool podman = request.runtime.podman;
  if (account.created)
    progress.Note(
        absl::StrCat("Made the system user riseml; services ", podman ? "" : "and jobs ", "run with its rights."));
  if (request.runtime.changed && !podman)
    RISEML_RETURN_IF_ERROR(While("run jobs as processes again", GiveBackJobs(account, request.dir)));
  RISEML_ASSIGN_OR_RETURN(const Layout layout, EnterAccount(account, request.dir, &request.programs,
                                                            podman ? RootRights::kInReserve : RootRights::kGivenUp));
  RISEML_RETURN_IF_ERROR(LeaveTerminal(layout));
  RISEML_RETURN_IF_ERROR(RecordOurselves(layout));
  const SystemClock clock;
  RISEML_ASSIGN_OR_RETURN(StackPlan plan, Prepare(layout, request, clock, progress));
  RISEML_ASSIGN_OR_RETURN(ProbeKeys keys, LoadProbeKeys(SupervisorTls(layout)));

  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const absl::Status status = Stack(std::move(plan), clock, progress).Run(std::move(keys));
  unlink(layout.PidFile(kSupervisor).c_str());
  unlink(layout.ProcessFile(kSupervisor).c_str());
  return status;
}

}  // namespace

int Supervise(SuperviseRequest request) {
  SetLogName(kSupervisor);
  HideEnvironment();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  ProgressSender progress(std::move(request.progress));
  const absl::Status status = RunStack(request, progress);
  if (status.ok()) return 0;
  LogError("supervisor_failed", {{"error", status.message()}});
  progress.Failed(status.message());
  return 1;
}

}  // namespace riseml::supervisor
