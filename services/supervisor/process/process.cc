#include "services/supervisor/process/process.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/process/kept_root.h"

namespace riseml::supervisor {
namespace {

constexpr std::size_t kMaxOutput = 16 << 10;

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Pipe {
  UniqueFd read_end, write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Runs in the child between fork and exec: only async-signal-safe calls are allowed.
void ResetSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGTERM, SIGINT, SIGCHLD, SIGHUP}) signal(number, SIG_DFL);
}

struct ChildFiles {
  int in, out, err, go, failure;
  const int* passed;
  std::size_t passed_count;
};

[[noreturn]] void RunChild(char* const* argv, char* const* environment, const ChildFiles& files, bool as_root) {
  setsid();
  ResetSignals();
  dup2(files.in, STDIN_FILENO);
  dup2(files.out, STDOUT_FILENO);
  dup2(files.err, STDERR_FILENO);
  syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  for (std::size_t i = 0; i < files.passed_count; ++i) fcntl(files.passed[i], F_SETFD, 0);
  char byte = 0;
  if (chdir("/") != 0 || read(files.go, &byte, 1) != 1) _exit(126);
  if (TakeProgramsRights(as_root)) execve(argv[0], argv, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t ignored = write(files.failure, &error, sizeof error);
  _exit(127);
}

absl::StatusOr<std::string> ReadAllOf(int fd) {
  std::string out;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "read from a pipe");
    if (n == 0) return out;
    if (out.size() < kMaxOutput) out.append(buffer, n);
  }
}

// Appends "NAME=VALUE" for each of our variables that has one of the names or prefixes.
void AppendOwn(std::initializer_list<absl::string_view> names, std::initializer_list<absl::string_view> prefixes,
               std::vector<std::string>& out) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    const absl::string_view name = text.substr(0, text.find('='));
    const bool wanted = std::ranges::find(names, name) != names.end() ||
                        std::ranges::any_of(prefixes, [name](auto prefix) { return absl::StartsWith(name, prefix); });
    if (wanted) out.emplace_back(text);
  }
}

constexpr std::int64_t kMaxProcBytes = 64 << 10;

// True if a process runs with no other user's rights.
bool HasRightsOf(pid_t pid, uid_t user) {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"), kMaxProcBytes).value_or("");
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, '\t');
    if (words[0] != "Uid:" || words.size() < 3) continue;
    return words[1] == absl::StrCat(user) && words[2] == words[1];  // real and effective
  }
  return false;
}

bool HasArgument(pid_t pid, const std::string& argument) {
  const std::string line = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"), kMaxProcBytes).value_or("");
  const std::vector<absl::string_view> words = absl::StrSplit(line, '\0');
  return std::ranges::find(words, argument) != words.end();
}

}  // namespace

int WaitFor(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string FileIdentity(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec);
}

ProcessIdentity IdentityOf(const config::v1::ProcessRecord& record) {
  return {record.pid(), record.start_ticks(), record.boot_id()};
}

absl::StatusOr<UniqueFd> OpenRecorded(const config::v1::ProcessRecord& record, uid_t account,
                                      const std::string& node_config) {
  const pid_t pid = record.pid();
  RISEML_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(IdentityOf(record)));
  const bool ours = HasRightsOf(pid, account) || (HasRightsOf(pid, 0) && HasArgument(pid, node_config));
  // Otherwise another process may have got the pid meanwhile.
  if (!IsAlive(IdentityOf(record))) return Error(Reason::kNotFound, absl::StrCat("process ", pid, " has ended"));
  if (ours) return process;
  return absl::PermissionDeniedError(
      absl::StrCat("process ", pid, " is not one of this installation, though its file in run/ says so"));
}

absl::Status Identify(pid_t pid, config::v1::ProcessRecord& record) {
  RISEML_ASSIGN_OR_RETURN(const ProcessIdentity identity, riseml::Identify(pid));
  record.set_pid(identity.pid);
  record.set_start_ticks(identity.start_ticks);
  record.set_boot_id(identity.boot_id);
  return absl::OkStatus();
}

absl::Status WriteRecord(const std::string& pid_file, const std::string& record_file,
                         const config::v1::ProcessRecord& record) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(record, &json, options).ok())
    return absl::InternalError("a process record cannot be printed");
  // Does not wait for the disk, since a record is useless after the next boot.
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(record_file, json + "\n", 0600));
  return WriteFileQuickly(pid_file, absl::StrCat(record.pid(), "\n"), 0600);
}

absl::StatusOr<config::v1::ProcessRecord> ReadRecord(const std::string& record_file) {
  RISEML_ASSIGN_OR_RETURN(const std::string json, ReadFile(record_file, 64 << 10));
  config::v1::ProcessRecord record;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(json, &record, options).ok())
    return absl::DataLossError(absl::StrCat(record_file, " holds no process record"));
  return record;
}

absl::StatusOr<pid_t> Spawn(const SpawnRequest& request, const std::function<absl::Status(pid_t)>& record) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd null, OpenFile("/dev/null", O_RDONLY));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(request.log_file, O_WRONLY | O_CREAT | O_APPEND, 0600));
  UniqueFd output;
  if (!request.output_file.empty()) {
    RISEML_ASSIGN_OR_RETURN(output, OpenFile(request.output_file, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  }
  RISEML_ASSIGN_OR_RETURN(Pipe go, MakePipe());
  RISEML_ASSIGN_OR_RETURN(Pipe failure, MakePipe());
  const std::vector<char*> argv = Pointers(request.argv);
  const std::vector<char*> environment = Pointers(request.environment);
  const int out = output.valid() ? output.get() : log.get();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError(errno, absl::StrCat("start ", request.argv[0]));
  if (pid == 0) {
    // Closes the write end; otherwise this process would wait for itself.
    close(go.write_end.get());
    RunChild(argv.data(), environment.data(),
             {null.get(), out, log.get(), go.read_end.get(), failure.write_end.get(), request.passed.data(),
              request.passed.size()},
             request.as_root);
  }
  failure.write_end.Reset();
  if (absl::Status status = record(pid); !status.ok()) {
    go.write_end.Reset();  // the child reads the end of the pipe and leaves
    WaitFor(pid);
    return status;
  }
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("start ", request.argv[0]), WriteAll(go.write_end.get(), "g")));
  int error = 0;
  if (read(failure.read_end.get(), &error, sizeof error) == sizeof error) {
    WaitFor(pid);
    return ErrnoError(error, absl::StrCat("start ", request.argv[0]));
  }
  return pid;
}

absl::StatusOr<RunResult> RunAndWait(const std::vector<std::string>& argv, absl::string_view input) {
  RISEML_ASSIGN_OR_RETURN(Pipe in, MakePipe());
  RISEML_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  RISEML_RETURN_IF_ERROR(WriteAll(in.write_end.get(), input));  // far less than a pipe holds
  in.write_end.Reset();
  const std::vector<char*> pointers = Pointers(argv);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError(errno, absl::StrCat("start ", argv[0]));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    ResetSignals();
    dup2(in.read_end.get(), STDIN_FILENO);
    dup2(out.write_end.get(), STDOUT_FILENO);
    dup2(out.write_end.get(), STDERR_FILENO);
    if (chdir("/") == 0) execvp(pointers[0], pointers.data());
    const char message[] = "the program cannot be started; is it installed?\n";
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    _exit(127);
  }
  out.write_end.Reset();
  const absl::StatusOr<std::string> output = ReadAllOf(out.read_end.get());
  const int status = WaitFor(pid);
  RISEML_RETURN_IF_ERROR(output.status());
  return RunResult{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                   std::string(absl::StripAsciiWhitespace(*output))};
}

std::vector<std::string> ServiceEnvironment(const std::string& home) {
  std::vector<std::string> out = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                  absl::StrCat("HOME=", home)};
  AppendOwn({"LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}, {"LC_"}, out);
  if (std::getenv("LANG") == nullptr) out.push_back("LANG=C.UTF-8");
  return out;
}

std::vector<std::string> NodeEnvironment(const std::string& home) {
  std::vector<std::string> out = ServiceEnvironment(home);
  AppendOwn(
      {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"},
      {"PIP_", "UV_"}, out);
  return out;
}

void WaitReadable(int fd, absl::Duration limit) {
  pollfd one = {fd, POLLIN, 0};
  poll(&one, 1, static_cast<int>(absl::ToInt64Milliseconds(limit)));
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) return absl::StrCat("signal ", WTERMSIG(wait_status));
  return absl::StrCat("exit code ", WEXITSTATUS(wait_status));
}

}  // namespace riseml::supervisor
