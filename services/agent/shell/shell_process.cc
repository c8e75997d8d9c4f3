#include "services/agent/shell/shell_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/agent/shell/system_call_filter.h"
#include "services/common/base/files/file.h"
#include "services/common/base/priority.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

constexpr char kJobOomScore[] = "500";  // when memory runs out, jobs are killed before services

std::vector<char*> PointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Until it executes the shell, this is a copy of `run`: it must drop everything of `run` before other processes may
// inspect it.
[[noreturn]] void BecomeShell(const internal::v1::RunPlan& plan, const SystemCallFilter* filter, char* const* argv,
                              char* const* environment, int output) {
  setsid();
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(126);
  if (close_range(3, ~0U, 0) != 0) _exit(126);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (plan.most_processes() > 0) {
    const auto most = static_cast<rlim_t>(plan.most_processes());
    const rlimit processes{most, most};
    setrlimit(RLIMIT_NPROC, &processes);
  }
  prctl(PR_SET_DUMPABLE, 1);  // makes its files in /proc ours again
  const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0 && write(score, kJobOomScore, sizeof kJobOomScore - 1) < 0)
    errno = 0;  // optional, to favor the services
  close(score);
  GiveWayToServices();
  if (cpu_set_t set; plan.processors_size() > 0) {
    CPU_ZERO(&set);
    for (const int processor : plan.processors()) CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);  // optional, to favor other jobs
  }
  if (!plan.work_dir().empty() && chdir(plan.work_dir().c_str()) != 0) _exit(126);
  if (filter != nullptr && !filter->Apply()) _exit(126);
  execve(argv[0], argv, environment);
  _exit(127);
}

}  // namespace

absl::StatusOr<pid_t> StartShellProcess(const internal::v1::RunPlan& plan, std::vector<std::string> words, int output) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : plan.environment()) variables.push_back(absl::StrCat(name, "=", value));
  std::sort(variables.begin(), variables.end());
  const std::vector<char*> argv = PointersTo(words), environment = PointersTo(variables);
  static const absl::StatusOr<SystemCallFilter> filter = SystemCallFilter::Make();
  if (plan.sandboxed() && !filter.ok()) return filter.status();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError(errno, "start a command");
  if (pid == 0) BecomeShell(plan, plan.sandboxed() ? &*filter : nullptr, argv.data(), environment.data(), output);
  return pid;
}

}  // namespace riseml::agent
