#include "services/agent/runner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "services/agent/command_sequence.h"
#include "services/agent/journal.h"
#include "services/agent/process.h"
#include "services/agent/proto_time.h"
#include "services/agent/result_socket.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxPlanBytes = 16 << 20;
constexpr int kDefaultGraceSeconds = 30;
constexpr std::int64_t kKillRetryMs = 20;
constexpr int kMaxKillRounds = 500;
constexpr int kPipeReadsAtOnce = 64;  // more than a pipe holds
constexpr int kMaxServes = 1000;
constexpr char kShell[] = "/bin/sh";
constexpr char kJobOomScore[] = "500";  // when memory runs out, jobs go before services

// Number of times the kernel has killed for memory, on the whole machine; 0 when it does not say.
std::int64_t OomKills() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/vmstat", 1 << 20);
  if (!text.ok()) return 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    std::int64_t count = 0;
    if (words.size() == 2 && words[0] == "oom_kill" && absl::SimpleAtoi(words[1], &count)) return count;
  }
  return 0;
}

class Runner {
 public:
  Runner(const std::string& dir, const RunFiles& files, const Clock& clock, internal::v1::RunPlan plan)
      : dir_(dir), files_(files), clock_(clock), plan_(std::move(plan)), sequence_(plan_) {}

  absl::Status Prepare();
  absl::Status Run();
  // Ends the attempt because Run has failed with `why`.
  absl::Status Fail(const absl::Status& why);

 private:
  absl::Status WatchFd(int fd);
  absl::Status OpenPipe(const std::string& path);
  absl::Status StartNext();
  absl::StatusOr<pid_t> StartShell(const std::string& command);
  [[noreturn]] void BecomeShell(char* const* argv, char* const* environment);
  absl::Status WaitAndHandle();
  absl::Status HandleSignals();
  void Reap();
  absl::Status OnMainEnded(int wait_status);
  void Stop(StopCause cause);
  void SignalAll(int signal);
  void KillRest();
  void DrainPipes();
  absl::Status End(internal::v1::AttemptEnded outcome);
  absl::Status Print(const std::string& text);
  static void SetTimer(const UniqueFd& timer, std::int64_t milliseconds);
  static bool TakeTimer(const UniqueFd& timer);

  const std::string& dir_;
  const RunFiles files_;
  const Clock& clock_;
  const internal::v1::RunPlan plan_;
  CommandSequence sequence_;
  std::unique_ptr<ResultSocket> results_;
  std::vector<UniqueFd> pipes_;
  UniqueFd epoll_, signals_, grace_timer_, limit_timer_;
  pid_t main_ = 0;  // shell of the step that runs
  std::optional<int> main_status_;
  std::int64_t oom_kills_before_ = 0;
  bool killing_ = false;
};

absl::Status Runner::WatchFd(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError(errno, "watch a descriptor");
  return absl::OkStatus();
}

void Runner::SetTimer(const UniqueFd& timer, std::int64_t milliseconds) {
  itimerspec when{};
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = milliseconds % 1000 * 1'000'000;
  timerfd_settime(timer.get(), 0, &when, nullptr);
}

bool Runner::TakeTimer(const UniqueFd& timer) {
  std::uint64_t count = 0;
  return read(timer.get(), &count, sizeof count) == sizeof count;
}

absl::Status Runner::OpenPipe(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, absl::StrCat("remove ", path));
  if (mkfifo(path.c_str(), 0600) != 0) return ErrnoError(errno, absl::StrCat("make the pipe ", path));
  // Open for writing as well: it never shows an end, and writers never wait for a reader.
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDWR | O_NONBLOCK));
  RISEML_RETURN_IF_ERROR(WatchFd(fd.get()));
  pipes_.push_back(std::move(fd));
  return absl::OkStatus();
}

absl::Status Runner::Prepare() {
  // What leaves its parent comes to us, so that the whole tree stays in sight; and the job cannot read or trace this
  // process.
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
  grace_timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  limit_timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.valid() || !signals_.valid() || !grace_timer_.valid() || !limit_timer_.valid())
    return ErrnoError(errno, "make descriptors for signals and timers");
  for (const int fd : {signals_.get(), grace_timer_.get(), limit_timer_.get()}) RISEML_RETURN_IF_ERROR(WatchFd(fd));
  RISEML_ASSIGN_OR_RETURN(results_, ResultSocket::Listen(dir_ + "/socket", files_.results));
  RISEML_RETURN_IF_ERROR(WatchFd(results_->fd()));
  if (plan_.own_dev())
    for (const char* path : {"/dev/stdout", "/dev/stderr"}) RISEML_RETURN_IF_ERROR(OpenPipe(path));
  return absl::OkStatus();
}

absl::Status Runner::Print(const std::string& text) {
  return text.empty() ? absl::OkStatus() : While("write to the log", WriteAll(files_.log, text));
}

void Runner::BecomeShell(char* const* argv, char* const* environment) {
  setsid();
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_DUMPABLE, 1);  // its files in /proc are ours again
  const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0 && write(score, kJobOomScore, sizeof kJobOomScore - 1) < 0)
    errno = 0;  // an optional courtesy to the services
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(files_.log, 1) < 0 || dup2(files_.log, 2) < 0) _exit(126);
  if (!plan_.work_dir().empty() && chdir(plan_.work_dir().c_str()) != 0) _exit(126);
  execve(kShell, argv, environment);
  _exit(127);
}

absl::StatusOr<pid_t> Runner::StartShell(const std::string& command) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : plan_.environment()) variables.push_back(absl::StrCat(name, "=", value));
  std::sort(variables.begin(), variables.end());
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string name = "sh", option = "-c", text = command;
  char* const argv[] = {name.data(), option.data(), text.data(), nullptr};
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError(errno, "start a command");
  if (pid == 0) BecomeShell(argv, environment.data());
  return pid;
}

absl::Status Runner::StartNext() {
  const std::optional<Step> step = sequence_.Next();
  if (!step) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(Print(step->announcement));
  oom_kills_before_ = OomKills();
  main_status_.reset();
  RISEML_ASSIGN_OR_RETURN(main_, StartShell(step->command));
  return absl::OkStatus();
}

void Runner::Reap() {
  while (true) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid == main_) main_status_ = status;
  }
}

absl::Status Runner::OnMainEnded(int wait_status) {
  main_ = 0;
  main_status_.reset();
  const int exit_code = ExitCodeOf(wait_status);
  const bool killed = exit_code == 128 + SIGKILL && !killing_;
  RISEML_RETURN_IF_ERROR(Print(sequence_.Finished({exit_code, killed && OomKills() > oom_kills_before_})));
  return StartNext();
}

void Runner::SignalAll(int signal) {
  for (const pid_t pid : Descendants(getpid())) kill(pid, signal);  // ours until we reap them, hence not reused
}

void Runner::Stop(StopCause cause) {
  if (sequence_.cause() != StopCause::kNone || main_ == 0) return;
  sequence_.Stop(cause);
  SignalAll(SIGTERM);
  SetTimer(grace_timer_,
           std::int64_t{1000} * (plan_.grace_seconds() > 0 ? plan_.grace_seconds() : kDefaultGraceSeconds));
}

absl::Status Runner::HandleSignals() {
  signalfd_siginfo info{};
  bool stop = false;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) stop = stop || info.ssi_signo != SIGCHLD;
  Reap();
  // An exit that happened before the signal wins.
  if (main_status_) RISEML_RETURN_IF_ERROR(OnMainEnded(*main_status_));
  if (stop) Stop(StopCause::kAsked);
  return absl::OkStatus();
}

void Runner::DrainPipes() {
  char buffer[65536];
  for (const UniqueFd& pipe : pipes_) {
    for (int round = 0; round < kPipeReadsAtOnce; ++round) {
      const ssize_t n = read(pipe.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      if (!WriteAll(files_.log, absl::string_view(buffer, n)).ok())
        return;  // disk full: the job's own writes fail likewise
    }
  }
}

absl::Status Runner::WaitAndHandle() {
  epoll_event events[8];
  const int n = epoll_wait(epoll_.get(), events, 8, -1);
  if (n < 0 && errno != EINTR) return ErrnoError(errno, "wait for events");
  for (int i = 0; i < n; ++i) {
    const int fd = events[i].data.fd;
    if (fd == signals_.get()) {
      RISEML_RETURN_IF_ERROR(HandleSignals());
    } else if (fd == results_->fd()) {
      results_->Serve();
    } else if (fd == limit_timer_.get()) {
      if (TakeTimer(limit_timer_)) Stop(StopCause::kTimeLimit);
    } else if (fd == grace_timer_.get()) {
      if (TakeTimer(grace_timer_)) {
        killing_ = true;
        SignalAll(SIGKILL);
        SetTimer(grace_timer_, kKillRetryMs);  // once more for what was being forked meanwhile
      }
    } else {
      DrainPipes();
    }
  }
  return absl::OkStatus();
}

// Ends what the commands left behind.
void Runner::KillRest() {
  for (int round = 0; round < kMaxKillRounds; ++round) {
    Reap();
    const std::vector<pid_t> rest = Descendants(getpid());
    if (rest.empty()) break;
    for (const pid_t pid : rest) kill(pid, SIGKILL);
    // The next death wakes us; so does a short time, for children of the killed that have come to us only now.
    SetTimer(grace_timer_, kKillRetryMs);
    epoll_event events[8];
    epoll_wait(epoll_.get(), events, 8, static_cast<int>(kKillRetryMs));
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    TakeTimer(grace_timer_);
    DrainPipes();
    results_->Serve();
  }
}

absl::Status Runner::End(internal::v1::AttemptEnded outcome) {
  KillRest();
  for (int i = 0; i < kMaxServes && results_->Serve(); ++i) {
  }
  DrainPipes();
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
  if (plan_.max_run_seconds() > 0) SetTimer(limit_timer_, plan_.max_run_seconds() * 1000);
  RISEML_RETURN_IF_ERROR(StartNext());
  while (main_ != 0) RISEML_RETURN_IF_ERROR(WaitAndHandle());
  // A stop gives what the shell left behind its time too.
  while (sequence_.cause() != StopCause::kNone && !killing_ && !Descendants(getpid()).empty())
    RISEML_RETURN_IF_ERROR(WaitAndHandle());
  return End(sequence_.Outcome());
}

absl::Status Runner::Fail(const absl::Status& why) {
  internal::v1::AttemptEnded outcome;
  outcome.set_event(internal::v1::Observation::LOST);
  outcome.set_reason("AGENT_ERROR");
  outcome.set_message(absl::StrCat("the commands could not be watched any more: ", std::string(why.message())));
  outcome.set_exit_class(internal::v1::Observation::INFRASTRUCTURE);
  return End(std::move(outcome));
}

absl::Status CloseOnExec(const RunFiles& files) {
  for (const int fd : {files.log, files.journal, files.results})
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return ErrnoError(errno, absl::StrCat("use descriptor ", fd));
  return absl::OkStatus();
}

}  // namespace

absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock) {
  RISEML_RETURN_IF_ERROR(CloseOnExec(files));
  if (!LockFile(files.journal).ok()) return absl::OkStatus();  // it is running
  RISEML_ASSIGN_OR_RETURN(const JournalContent journal, ReadJournal(files.journal));
  if (journal.started || journal.ended) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(dir + "/run.pb", kMaxPlanBytes));
  internal::v1::RunPlan plan;
  if (!plan.ParseFromString(text)) return absl::DataLossError(absl::StrCat(dir, "/run.pb is damaged"));
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
  return RunAttempt(dir, {.log = log.get(), .journal = journal.get(), .results = results.get()}, clock);
}

}  // namespace riseml::agent
