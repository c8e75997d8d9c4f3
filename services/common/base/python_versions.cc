#include "services/common/base/python_versions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFound = 20;

absl::string_view Digits(absl::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) ++count;
  return text.substr(0, count);
}

constexpr absl::Duration kPythonLimit = absl::Seconds(10);
constexpr char kCheckProgram[] =
    "import ensurepip, platform, sys, venv; "
    "print(sys.implementation.name, platform.python_version(), platform.machine())";

// Standard output of a child until its end, at most 4 KiB; false when the time is up.
bool ReadOutput(int fd, absl::Time deadline, const Clock& clock, std::string* output) {
  char buffer[512];
  while (true) {
    const absl::Duration left = deadline - clock.Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd poll_fd{fd, POLLIN, 0};
    if (poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) <= 0) continue;
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return true;
    if (output->size() < 4096) output->append(buffer, static_cast<std::size_t>(size));
  }
}

}  // namespace

std::string PythonOfImage(absl::string_view image) {
  const std::size_t slash = image.rfind('/');
  if (slash != absl::string_view::npos) image.remove_prefix(slash + 1);
  if (!absl::ConsumePrefix(&image, "python:")) return "";
  const absl::string_view major = Digits(image);
  image.remove_prefix(major.size());
  if (major.empty() || !absl::ConsumePrefix(&image, ".")) return "";
  const absl::string_view minor = Digits(image);
  return minor.empty() ? "" : absl::StrCat(major, ".", minor);
}

std::vector<std::string> FindPython(const std::string& version, const std::vector<std::string>& directories) {
  std::vector<std::string> found;
  const std::string name = absl::StrCat("python", version);
  const auto add = [&](const std::string& path) {
    std::error_code error;
    const bool usable = fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
    if (usable && found.size() < kMaxFound && std::ranges::find(found, path) == found.end()) found.push_back(path);
  };
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/"}) add(directory + name);
  for (const std::string& directory : directories) {
    // The programs there ask pyenv which interpreter is meant, and work only where pyenv is set up.
    if (!absl::EndsWith(directory, "/shims")) add(absl::StrCat(directory, "/", name));
    std::vector<std::string> versions;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
      const std::string entry = it->path().filename().string();
      absl::string_view rest = entry;
      absl::ConsumePrefix(&rest, "cpython-");
      if (absl::ConsumePrefix(&rest, version) && (rest.empty() || rest[0] == '.' || rest[0] == '-'))
        versions.push_back(it->path().string());
    }
    std::ranges::sort(versions, std::greater<>());
    for (const std::string& path : versions) add(absl::StrCat(path, "/bin/", name));
  }
  return found;
}

std::string PythonPrefix(const std::string& python) {
  std::error_code error;
  const fs::path real = fs::canonical(python, error);
  if (error || absl::StartsWith(real.string(), "/usr/")) return "";
  return real.parent_path().parent_path().string();
}

absl::StatusOr<std::string> PythonVersion(const std::string& python) {
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat("run the Python interpreter ", python, ": ", why,
                                                      "; install python3 and python3-venv, or set `python` in the "
                                                      "configuration of the builder, and restart it"));
  };
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  std::string arguments[] = {python, "-I", "-c", kCheckProgram};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), arguments[3].data(), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, python.c_str(), &actions, nullptr, argv, environment);
  posix_spawn_file_actions_destroy(&actions);
  write_end.Reset();
  if (error != 0) return refuse(ErrnoError(error, "start").message());

  const SystemClock clock;
  std::string output;
  const bool ended = ReadOutput(read_end.get(), clock.Now() + kPythonLimit, clock, &output);
  if (!ended) kill(pid, SIGKILL);
  int wait_status = 0;
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) return refuse("no answer within 10 s");
  absl::StripAsciiWhitespace(&output);
  if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0 || output.empty())
    return refuse("it cannot make virtual environments");
  return output;
}

absl::StatusOr<Interpreter> Interpreters::Choose(absl::string_view image) {
  MutexLock lock(mu_);
  if (!version_) version_ = PythonVersion(python_);
  Interpreter usual{.path = python_, .version = version_->value_or(""), .prefix = PythonPrefix(python_), .note = ""};
  const std::string wanted = PythonOfImage(image);
  const std::vector<absl::string_view> words = absl::StrSplit(usual.version, ' ');
  const bool has_version = words.size() > 1 && absl::StartsWith(absl::StrCat(words[1], "."), absl::StrCat(wanted, "."));
  if (wanted.empty() || has_version) {
    RISEML_RETURN_IF_ERROR(version_->status());
    return usual;
  }
  if (const auto it = found_.find(wanted); it != found_.end()) return it->second;
  for (const std::string& path : FindPython(wanted, directories_)) {
    const absl::StatusOr<std::string> version = PythonVersion(path);
    if (!version.ok()) continue;
    return found_[wanted] = {.path = path, .version = *version, .prefix = PythonPrefix(path), .note = ""};
  }
  RISEML_RETURN_IF_ERROR(version_->status());
  usual.note = absl::StrCat("image ", image, " asks for Python ", wanted,
                            ", which this machine does not have: ", words.size() > 1 ? words[1] : usual.version,
                            " is used. Install python", wanted, " and python", wanted,
                            "-venv (or with `uv python install ", wanted, "`), then: riseml down, riseml up");
  return found_[wanted] = usual;
}

}  // namespace riseml
