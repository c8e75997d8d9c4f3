#include "services/agent/run/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/attempt/run_secrets.h"
#include "services/agent/attempt/work_files.h"
#include "services/agent/process/output_pace.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/process/process.h"
#include "services/agent/process/timer.h"
#include "services/agent/run/image_setup.h"
#include "services/agent/run/port_forwarder.h"
#include "services/agent/run/result_socket.h"
#include "services/agent/run/step_runner.h"
#include "services/agent/shell/shell_process.h"
#include "services/agent/shell/stop_plan.h"
#include "services/common/base/byte_size.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/priority.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxPlanBytes = 16 << 20;
constexpr int kDefaultGraceSeconds = 30;
constexpr char kNoResultsOfBuilds[] =
    "install steps have no results, as they do not run for every experiment: report them from the commands under "
    "'run:'";
constexpr std::int64_t kKillRetryMs = 20;
constexpr int kMaxKillRounds = 500;
constexpr int kMaxServes = 1000;
constexpr std::int64_t kShortestTickMs = 10;              // between two looks at a tree that is being stopped
constexpr absl::Duration kSilentStop = absl::Seconds(1);  // a stop that takes longer is reported in the log
constexpr std::int64_t kTickMs = 50;
constexpr int kNetworkLimitMs = 10'000;
constexpr std::int64_t kRetryMs = 1000;  // after the log could not be written
constexpr std::int64_t kGiveWayRetryMs = 130;

// In a sandbox, where this is process 1, senders outside have no pid. A sender with a pid is the job itself, which does
// not request a stop.
bool IsFromJob(const signalfd_siginfo& info) { return getpid() == 1 && info.ssi_pid != 0; }

class Runner {
 public:
  Runner(const std::string& dir, const RunFiles& files, const Clock& clock, internal::v1::RunPlan plan)
      : dir_(dir),
        files_(files),
        clock_(clock),
        plan_(std::move(plan)),
        output_(files.output_read, files.log),
        steps_(dir_, plan_, clock_, output_, files.output_write, [this](int fd) { return WatchFd(fd); }) {}

  absl::Status Prepare();
  absl::Status Run();
  // Ends the attempt because Run has failed with `why`.
  absl::Status Fail(const absl::Status& why);

 private:
  absl::Status WatchFd(int fd);
  absl::Status WaitAndHandle();
  absl::Status Handle(int fd);
  absl::Status HandleSignals();
  void CopyOutput();
  void CopyLater(std::int64_t milliseconds);
  void Reap();
  void Stop(StopCause cause);
  void TellToStop();
  void Say(absl::string_view text);
  int GraceSeconds() const;
  void KillAll();
  void KillRest();
  void KeepFiles();
  void AwaitNetwork();
  void GiveWay();
  absl::Status End(internal::v1::AttemptEnded outcome);

  const std::string& dir_;
  const RunFiles files_;
  const Clock& clock_;
  const internal::v1::RunPlan plan_;
  OutputPipe output_;
  OutputPace pace_;
  bool pace_told_ = false;
  pid_t gave_way_ = 0;  // the last shell whose priority was lowered
  std::unique_ptr<ResultSocket> results_;
  StepRunner steps_;
  UniqueFd epoll_, signals_;
  const Timer grace_timer_, limit_timer_, stop_timer_, retry_timer_, way_timer_;
  std::optional<StopPlan> stop_plan_;
  absl::Time began_ = absl::InfiniteFuture();
  absl::Time stop_begin_ = absl::InfiniteFuture();
  bool stop_told_ = false;
  std::int64_t tick_ms_ = kShortestTickMs;
  bool killing_ = false;
};

absl::Status Runner::WatchFd(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError(errno, "watch a descriptor");
  return absl::OkStatus();
}

absl::Status Runner::Prepare() {
  // Makes orphans children of this process, so that the whole tree stays visible, and keeps the job from reading or
  // tracing this process.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_DUMPABLE, 0);
  umask(022);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!epoll_.valid()) return ErrnoError(errno, "make a descriptor to wait with");
  for (const int fd :
       {signals_.get(), grace_timer_.fd(), limit_timer_.fd(), stop_timer_.fd(), retry_timer_.fd(), way_timer_.fd()}) {
    if (fd < 0) return ErrnoError(errno, "make descriptors for signals and timers");
    RISEML_RETURN_IF_ERROR(WatchFd(fd));
  }
  RISEML_RETURN_IF_ERROR(WatchFd(files_.output_read));
  RISEML_ASSIGN_OR_RETURN(results_, ResultSocket::Listen(dir_ + "/socket", files_.results,
                                                         plan_.role() == "build" ? kNoResultsOfBuilds : ""));
  return WatchFd(results_->fd());
}

void Runner::Reap() {
  while (true) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    steps_.Reaped(pid, status);
  }
}

void Runner::KillAll() {
  for (const pid_t pid : Descendants(getpid())) kill(pid, SIGKILL);  // ours until we reap them, hence not reused
}

// Sends the next signals and sets the time of the next look at the tree, since a look at a large tree takes time.
void Runner::TellToStop() {
  const absl::Time begin = clock_.Now();
  const StopSnapshot snapshot{
      .root = getpid(), .main = steps_.shell_pid(), .family = Family(getpid()), .inspect = Inspect};
  for (const StopSignal& next : stop_plan_->Next(snapshot, begin)) kill(next.pid, next.signal);
  const std::int64_t cost_ms = absl::ToInt64Milliseconds(clock_.Now() - begin);
  tick_ms_ = std::clamp(cost_ms, kShortestTickMs, kTickMs * 20);
  stop_timer_.Set(std::max(kTickMs, tick_ms_));
  if (stop_told_ || begin - stop_begin_ < kSilentStop) return;
  stop_told_ = true;
  Say(absl::StrCat("==> Asked to stop: SIGTERM was sent, and what still runs after ", GraceSeconds(),
                   " s is killed.\n"));
}

// A log that cannot be written must not keep the job running.
void Runner::Say(absl::string_view text) {
  if (const absl::Status printed = output_.Print(text); !printed.ok())
    LogError("output_lost", {{"error", std::string(printed.message())}});
}

int Runner::GraceSeconds() const {
  return plan_.grace().seconds() > 0 ? static_cast<int>(plan_.grace().seconds()) : kDefaultGraceSeconds;
}

void Runner::Stop(StopCause cause) {
  if (steps_.cause() != StopCause::kNone || !steps_.runs()) return;
  steps_.Stop(cause);
  stop_begin_ = clock_.Now();
  stop_plan_.emplace(stop_begin_, absl::Seconds(GraceSeconds()));
  TellToStop();
  grace_timer_.Set(std::int64_t{1000} * GraceSeconds());
}

absl::Status Runner::HandleSignals() {
  signalfd_siginfo info{};
  bool stop = false;
  while (read(signals_.get(), &info, sizeof info) == sizeof info)
    stop = stop || (info.ssi_signo != SIGCHLD && !IsFromJob(info));
  Reap();
  // An exit that happened before the signal wins.
  RISEML_RETURN_IF_ERROR(steps_.GoOn());
  GiveWay();
  if (stop) Stop(StopCause::kAsked);
  if (stop_plan_) stop_timer_.Set(tick_ms_);  // a process has ended: signal the next one
  return absl::OkStatus();
}

// A job waits while there is no room for its log, and while it prints too fast.
void Runner::CopyOutput() {
  const std::int64_t before = output_.taken();
  if (!output_.Copy().ok()) return CopyLater(kRetryMs);
  const absl::Duration wait = pace_.Take(output_.taken() - before, clock_.Now());
  if (wait == absl::ZeroDuration()) return;
  if (!std::exchange(pace_told_, true))
    Say(absl::StrCat("==> The job prints more than ", PrintSize(OutputPace::kBytesPerSecond),
                     " a second. It waits where it prints, so that it stays below that.\n"));
  CopyLater(std::max<std::int64_t>(absl::ToInt64Milliseconds(wait), 1));
}

void Runner::CopyLater(std::int64_t milliseconds) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, files_.output_read, nullptr);
  retry_timer_.Set(milliseconds);
}

absl::Status Runner::Handle(int fd) {
  if (fd == signals_.get()) return HandleSignals();
  if (fd == results_->fd()) {
    results_->Serve();
  } else if (fd == limit_timer_.fd()) {
    if (limit_timer_.Take()) Stop(StopCause::kTimeLimit);
  } else if (fd == stop_timer_.fd()) {
    if (stop_timer_.Take() && !killing_) TellToStop();
  } else if (fd == grace_timer_.fd()) {
    if (grace_timer_.Take()) {
      if (!killing_) Say(absl::StrCat("==> Killed: it still ran ", GraceSeconds(), " s after SIGTERM.\n"));
      killing_ = true;
      steps_.NoteKill();
      KillAll();
      grace_timer_.Set(kKillRetryMs);  // again for processes forked meanwhile
    }
  } else if (fd == retry_timer_.fd()) {
    if (retry_timer_.Take()) return WatchFd(files_.output_read);
  } else if (fd == way_timer_.fd()) {
    if (way_timer_.Take()) GiveWay();
  } else if (fd == files_.output_read) {
    CopyOutput();
  } else if (fd == steps_.fd()) {
    return steps_.HandleReports();
  }
  return absl::OkStatus();
}

absl::Status Runner::WaitAndHandle() {
  epoll_event events[8];
  const int n = epoll_wait(epoll_.get(), events, 8, -1);
  if (n < 0 && errno != EINTR) return ErrnoError(errno, "wait for events");
  for (int i = 0; i < n; ++i) RISEML_RETURN_IF_ERROR(Handle(events[i].data.fd));
  return absl::OkStatus();
}

// Kills processes that the commands left behind.
void Runner::KillRest() {
  for (int round = 0; round < kMaxKillRounds; ++round) {
    Reap();
    const std::vector<pid_t> rest = Descendants(getpid());
    if (rest.empty()) break;
    for (const pid_t pid : rest) kill(pid, SIGKILL);
    // Wakes up at the next death, or after a short time for children of killed processes that have become ours only
    // now.
    grace_timer_.Set(kKillRetryMs);
    epoll_event events[8];
    epoll_wait(epoll_.get(), events, 8, static_cast<int>(kKillRetryMs));
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    grace_timer_.Take();
    retry_timer_.Take();
    CopyOutput();
    results_->Serve();
  }
}

// A failure to keep files is reported in the log and changes nothing else.
void Runner::KeepFiles() {
  if (plan_.kept_dir().empty() || plan_.kept_bytes_limit() <= 0 || began_ == absl::InfiniteFuture()) return;
  const KeepRequest request = {
      .from = plan_.work_dir(), .to = plan_.kept_dir(), .since = began_, .bytes_limit = plan_.kept_bytes_limit()};
  const absl::StatusOr<KeptFiles> kept = KeepWorkFiles(request);
  const std::string text = kept.ok() ? DescribeKept(*kept, request)
                                     : absl::StrCat("==> Files of the working directory could not be kept: ",
                                                    std::string(kept.status().message()), "\n");
  Say(text);
}

// Waits for the connection of the network, so that the first command can use it.
void Runner::AwaitNetwork() {
  pollfd ready{files_.network_ready, POLLIN, 0};
  char said = 0;
  if (poll(&ready, 1, kNetworkLimitMs) == 1 && read(files_.network_ready, &said, 1) == 1) return;
  Say("==> The job has no network: what leads out of its network namespace did not start. The node's log says why.\n");
}

void Runner::GiveWay() {
  const pid_t shell = steps_.shell_pid();
  if (shell == 0 || shell == gave_way_) return;
  if (LetSessionGiveWay(shell))
    gave_way_ = shell;
  else
    way_timer_.Set(kGiveWayRetryMs);
}

absl::Status Runner::End(internal::v1::AttemptEnded outcome) {
  KillRest();
  for (int i = 0; i < kMaxServes && results_->Serve(); ++i) {
  }
  KeepFiles();
  // Output that does not fit on the disk is lost; the end is recorded in any case.
  if (const absl::Status copied = output_.Copy(); !copied.ok())
    LogError("output_lost", {{"error", std::string(copied.message())}});
  internal::v1::JournalRecord record;
  *record.mutable_ended() = std::move(outcome);
  *record.mutable_ended()->mutable_time() = ToProtoTime(clock_.Now());
  struct stat log {};
  if (fstat(files_.log, &log) != 0) return ErrnoError(errno, "look at the log");
  record.mutable_ended()->set_final_offset(log.st_size);
  return AppendToJournal(files_.journal, record);
}

absl::Status Runner::Run() {
  internal::v1::JournalRecord started;
  *started.mutable_started()->mutable_time() = ToProtoTime(clock_.Now());
  RISEML_RETURN_IF_ERROR(AppendToJournal(files_.journal, started));
  if (plan_.has_max_run_time()) limit_timer_.Set(absl::ToInt64Milliseconds(FromProtoDuration(plan_.max_run_time())));
  began_ = NextTickOfFiles(dir_ + "/began", dir_ + "/run.pb");
  for (const std::string& note : plan_.notes()) RISEML_RETURN_IF_ERROR(output_.Print(absl::StrCat("==> ", note, "\n")));
  if (plan_.own_network()) AwaitNetwork();
  if (plan_.forwarded_ports_size() > 0)
    if (const absl::Status passed = PassPortsTo(files_.forwarder, plan_.forwarded_ports()); !passed.ok())
      Say(absl::StrCat("==> Ports of this node cannot be reached: ", std::string(passed.message()), "\n"));
  RISEML_RETURN_IF_ERROR(steps_.Begin(began_));
  GiveWay();
  while (steps_.runs()) RISEML_RETURN_IF_ERROR(WaitAndHandle());
  // A stop also gives processes that the shell left behind the time to end.
  while (steps_.cause() != StopCause::kNone && !killing_ && !Descendants(getpid()).empty())
    RISEML_RETURN_IF_ERROR(WaitAndHandle());
  return End(steps_.Outcome());
}

absl::Status Runner::Fail(const absl::Status& why) {
  internal::v1::AttemptEnded outcome;
  outcome.set_event(internal::v1::Observation::LOST);
  outcome.set_reason("AGENT_ERROR");
  outcome.set_message(absl::StrCat("the commands could not be watched any more: ", std::string(why.message())));
  outcome.set_exit_class(v1::Attempt::INFRASTRUCTURE);
  return End(std::move(outcome));
}

}  // namespace

absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock) {
  RISEML_RETURN_IF_ERROR(TakeFiles(files));
  if (!LockFile(files.journal).ok()) return absl::OkStatus();  // it is running
  RISEML_ASSIGN_OR_RETURN(const JournalContent journal, ReadJournal(files.journal));
  if (journal.started || journal.ended) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(dir + "/run.pb", kMaxPlanBytes));
  internal::v1::RunPlan plan;
  if (!plan.ParseFromString(text)) return absl::DataLossError(absl::StrCat(dir, "/run.pb is damaged"));
  RISEML_RETURN_IF_ERROR(TakeSecrets(dir, &plan));
  if (plan.in_container() && plan.role() != "build") SetUpImage(&plan);
  Runner runner(dir, files, clock, std::move(plan));
  RISEML_RETURN_IF_ERROR(runner.Prepare());
  const absl::Status status = runner.Run();
  return status.ok() ? status : runner.Fail(status);
}

absl::Status RunAttempt(const std::string& dir, const Clock& clock) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(dir + "/log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd journal,
                          OpenFile(dir + "/journal", O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd results,
                          OpenFile(dir + "/results", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  RISEML_ASSIGN_OR_RETURN(const OutputEnds output, OpenOutput(dir + "/output"));
  return RunAttempt(dir,
                    {.log = log.get(),
                     .journal = journal.get(),
                     .results = results.get(),
                     .output_read = output.read.get(),
                     .output_write = output.write.get()},
                    clock);
}

}  // namespace riseml::agent
