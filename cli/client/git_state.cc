#include "cli/client/git_state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

extern char** environ;

namespace riseml::cli {
namespace {

constexpr std::size_t kMostOutput = 64 << 10;
constexpr std::int64_t kMaxProjectFile = 1 << 20;
constexpr int kTimeoutMs = 10'000;
constexpr std::size_t kCommitDigits = 40, kShortDigits = 7;

struct Output {
  int exit_code = 0;
  std::string text;  // standard output, then standard error
};

// Reads until the end, or with `any` until something arrives; false when that takes too long or yields too much.
bool ReadOutput(int fd, bool any, std::string* text) {
  char buffer[4096];
  while (text->size() < kMostOutput) {
    if (any && !text->empty()) return true;
    pollfd wanted = {fd, POLLIN, 0};
    const int ready = poll(&wanted, 1, kTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    text->append(buffer, static_cast<std::size_t>(n));
  }
  return false;
}

// `any_output` ends git with the first byte that it prints, when nobody needs the rest.
absl::StatusOr<Output> RunGit(const std::string& directory, const std::vector<std::string>& arguments,
                              bool any_output = false) {
  // No locks: a status that refreshes the index must not block the user's own git.
  std::vector<std::string> words = {"git", "--no-optional-locks", "-C", directory};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  UniqueFd from(ends[0]), to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, to.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, to.get(), 2);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, "git", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return absl::UnavailableError("git is not installed");
  to = UniqueFd();
  Output output;
  const bool complete = ReadOutput(from.get(), any_output, &output.text);
  const bool cut = any_output && !output.text.empty();
  if (!complete || cut) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!complete) return absl::UnavailableError("git took too long");
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : cut ? 0 : 128;
  output.text = std::string(absl::StripTrailingAsciiWhitespace(output.text));
  return output;
}

bool LiesInWorkTree(const std::string& directory) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(directory, error);
  while (!error && !std::filesystem::exists(at / ".git", error)) {
    if (at == at.parent_path()) return false;
    at = at.parent_path();
  }
  return !error;
}

bool IsHex(absl::string_view text) {
  for (const char c : text)
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  return !text.empty();
}

// "x" of `name = "x"`, of 'x' and of x.
std::string Unquoted(absl::string_view value) {
  value = absl::StripAsciiWhitespace(value);
  if (value.size() < 2 || (value[0] != '"' && value[0] != '\'')) return std::string(value);
  const std::size_t end = value.find(value[0], 1);
  return end == value.npos ? "" : std::string(value.substr(1, end - 1));
}

// Tracked files that differ from the commit; 0 when there are too many names, or when git fails.
int CountChanged(const std::string& directory) {
  const auto changed = RunGit(directory, {"diff", "--name-only", "HEAD"});
  if (!changed.ok() || changed->exit_code != 0 || changed->text.empty()) return 0;
  return static_cast<int>(std::ranges::count(changed->text, '\n')) + 1;
}

}  // namespace

v1::GitState ParseDescribe(absl::string_view line) {
  v1::GitState state;
  state.set_dirty(absl::ConsumeSuffix(&line, "-dirty"));
  std::string describe(line);
  const std::size_t mark = line.rfind("-g");
  const absl::string_view commit = mark == line.npos ? line : line.substr(mark + 2);
  if (commit.size() == kCommitDigits && IsHex(commit)) {
    state.set_commit(std::string(commit));
    describe.resize(describe.size() - (kCommitDigits - kShortDigits));
  }
  state.set_describe(absl::StrCat(describe, state.dirty() ? "-dirty" : ""));
  return state;
}

std::string PackageName(absl::string_view text) {
  bool wanted = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "[")) {
      wanted = line == "[project]" || line == "[metadata]";
      continue;
    }
    if (!wanted || !absl::ConsumePrefix(&line, "name")) continue;
    line = absl::StripLeadingAsciiWhitespace(line);
    if (absl::ConsumePrefix(&line, "=")) return Unquoted(line);
  }
  return "";
}

absl::StatusOr<std::optional<v1::GitState>> ReadGitState(const std::string& directory) {
  if (!LiesInWorkTree(directory)) return std::nullopt;
  RISEML_ASSIGN_OR_RETURN(const Output described,
                          RunGit(directory, {"describe", "--tags", "--long", "--always", "--dirty", "--abbrev=40"}));
  RISEML_ASSIGN_OR_RETURN(const Output branch, RunGit(directory, {"symbolic-ref", "--short", "-q", "HEAD"}));
  v1::GitState state;
  if (described.exit_code == 0) {
    state = ParseDescribe(described.text);
  } else if (branch.exit_code != 0) {  // else there is a branch without a commit
    return absl::UnavailableError(absl::StrCat("git says: ", described.text.substr(0, described.text.find('\n'))));
  }
  if (branch.exit_code == 0) state.set_branch(branch.text);
  if (state.dirty()) state.set_changed_files(CountChanged(directory));
  RISEML_ASSIGN_OR_RETURN(const Output others, RunGit(directory,
                                                      {"ls-files", "--others", "--exclude-standard", "--directory",
                                                       "--no-empty-directory", "--", ".", ":(exclude)riseml*.yml"},
                                                      /*any_output=*/true));
  state.set_untracked(others.exit_code == 0 && !others.text.empty());
  for (const char* name : {"/pyproject.toml", "/setup.cfg"}) {
    if (!state.package().empty()) continue;
    if (const auto text = ReadFile(directory + name, kMaxProjectFile); text.ok()) state.set_package(PackageName(*text));
  }
  return state;
}

}  // namespace riseml::cli
