#include "services/agent/shell/shell_session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr const char* kBashPlaces[] = {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"};
constexpr char kPosixShell[] = "/bin/sh";
constexpr std::size_t kMaxReportBytes = 64 << 10;
constexpr std::size_t kMaxComplaintBytes = 64 << 10;

absl::Status WriteText(const std::string& path, absl::string_view text) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  return While(absl::StrCat("write ", path), WriteAll(fd.get(), text));
}

// Opens the pipe for reading and writing: so it never reports an end, and opening it does not wait for the other side.
absl::StatusOr<UniqueFd> MakePipe(const std::string& path) {
  if (mkfifo(path.c_str(), 0600) != 0) return ErrnoError(errno, absl::StrCat("make the pipe ", path));
  return OpenFile(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
}

std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[4096];
  while (text.size() < kMaxComplaintBytes) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, n);
  }
  return text;
}

}  // namespace

std::string ChooseShell(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  for (const char* path : kBashPlaces)
    if (access(path, X_OK) == 0) return path;
  return kPosixShell;
}

absl::StatusOr<std::unique_ptr<ShellSession>> ShellSession::Create(const std::string& directory,
                                                                   const std::string& shell,
                                                                   const std::vector<std::string>& items) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("mkdir ", directory));
  std::unique_ptr<ShellSession> session(new ShellSession(directory, shell, static_cast<int>(items.size())));
  for (std::size_t i = 0; i < items.size(); ++i)
    RISEML_RETURN_IF_ERROR(WriteText(absl::StrCat(directory, "/", i + 1), absl::StrCat(items[i], "\n")));
  RISEML_ASSIGN_OR_RETURN(session->reports_, MakePipe(directory + "/reports"));
  RISEML_ASSIGN_OR_RETURN(session->next_, MakePipe(directory + "/next"));
  return session;
}

absl::StatusOr<std::vector<std::string>> ShellSession::CommandLine(int first) const {
  const std::string driver = directory_ + "/driver";
  const bool bash = absl::EndsWith(shell_, "bash");
  RISEML_RETURN_IF_ERROR(WriteText(driver, DriverScript({.kind = bash ? ShellKind::kBash : ShellKind::kPosix,
                                                         .directory = directory_,
                                                         .first = first,
                                                         .last = items_})));
  return std::vector<std::string>{shell_, driver};
}

std::vector<ShellReport> ShellSession::TakeReports() {
  char buffer[4096];
  for (ssize_t n = read(reports_.get(), buffer, sizeof buffer); n > 0 && received_.size() < kMaxReportBytes;
       n = read(reports_.get(), buffer, sizeof buffer))
    received_.append(buffer, n);
  std::vector<ShellReport> reports;
  const std::size_t end = received_.rfind('\n');
  if (end == std::string::npos) {
    if (received_.size() >= kMaxReportBytes) received_.clear();  // not written by the driver
    return reports;
  }
  for (const absl::string_view line : absl::StrSplit(received_.substr(0, end), '\n'))
    if (const std::optional<ShellReport> report = ParseShellReport(line)) reports.push_back(*report);
  received_.erase(0, end + 1);
  return reports;
}

absl::Status ShellSession::Answer(int number) const {
  return While("answer the shell", WriteAll(next_.get(), absl::StrCat(number, "\n")));
}

int ShellSession::LineOfBadSyntax(int number) const {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return 0;
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::string shell = shell_, option = "-n", item = absl::StrCat(directory_, "/", number);
  char* const argv[] = {shell.data(), option.data(), item.data(), nullptr};
  std::string language = "LC_ALL=C";
  char* const environment[] = {language.data(), nullptr};
  const pid_t pid = fork();
  if (pid < 0) return 0;
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (dup2(writing.get(), 2) >= 0) execve(argv[0], argv, environment);
    _exit(126);
  }
  writing.Reset();
  const std::string complaint = ReadToEnd(reading.get());
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return LineOfSyntaxError(complaint);
}

}  // namespace riseml::agent
