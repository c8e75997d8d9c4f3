#include "services/builder/interpreter.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/clock.h"
#include "services/common/base/file.h"
#include "services/common/base/python_versions.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

constexpr absl::Duration kPythonLimit = absl::Seconds(10);
constexpr int kMaxFiles = 1000;
constexpr std::int64_t kMaxFileBytes = 4 << 20;
constexpr char kProgram[] =
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
  std::string arguments[] = {python, "-I", "-c", kProgram};
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
  Interpreter usual{.path = python_, .version = version_.value_or(""), .prefix = PythonPrefix(python_), .note = ""};
  const std::string wanted = PythonOfImage(image);
  const std::vector<absl::string_view> words = absl::StrSplit(usual.version, ' ');
  const bool has_version = words.size() > 1 && absl::StartsWith(absl::StrCat(words[1], "."), absl::StrCat(wanted, "."));
  if (wanted.empty() || has_version) {
    RISEML_RETURN_IF_ERROR(version_.status());
    return usual;
  }
  MutexLock lock(mu_);
  if (const auto it = found_.find(wanted); it != found_.end()) return it->second;
  for (const std::string& path : FindPython(wanted, directories_)) {
    const absl::StatusOr<std::string> version = PythonVersion(path);
    if (!version.ok()) continue;
    return found_[wanted] = {.path = path, .version = *version, .prefix = PythonPrefix(path), .note = ""};
  }
  RISEML_RETURN_IF_ERROR(version_.status());
  usual.note = absl::StrCat("image ", image, " asks for Python ", wanted,
                            ", which this machine does not have: ", words.size() > 1 ? words[1] : usual.version,
                            " is used. Install python", wanted, " and python", wanted,
                            "-venv (or with `uv python install ", wanted, "`), then: riseml down, riseml up");
  return found_[wanted] = usual;
}

absl::StatusOr<std::string> FindPackage(const std::string& dir) {
  if (dir.empty()) return std::string();
  for (const std::string& candidate : {dir, dir + "/riseml"})
    if (FileExists(candidate + "/__init__.py")) return candidate;
  return Error(Reason::kNotFound, absl::StrCat("find the Python package riseml: no __init__.py in ", dir, " or ", dir,
                                               "/riseml; set `python_client_dir` in the configuration of the builder"));
}

absl::StatusOr<std::string> PackageDigest(const std::string& package_dir) {
  if (package_dir.empty()) return std::string();
  namespace fs = std::filesystem;
  std::map<std::string, std::string> files;  // sorted: the digest does not depend on the directory's order
  std::error_code error;
  for (fs::recursive_directory_iterator it(package_dir, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string();
    std::error_code ignored;
    if (!it->is_regular_file(ignored) || absl::StrContains(path, "__pycache__")) continue;
    if (static_cast<int>(files.size()) == kMaxFiles)
      return Error(Reason::kLimitExceeded,
                   absl::StrCat("read the Python package in ", package_dir, ": more than ", kMaxFiles, " files"));
    RISEML_ASSIGN_OR_RETURN(files[path.substr(package_dir.size())], ReadFile(path, kMaxFileBytes));
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("read the Python package in ", package_dir));
  std::string text;
  for (const auto& [path, content] : files)
    absl::StrAppend(&text, path.size(), ":", path, content.size(), ":", content);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace riseml::builder
