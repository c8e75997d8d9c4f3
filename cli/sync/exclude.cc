#include "cli/sync/exclude.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"

namespace riseml::sync {
namespace {

constexpr std::int64_t kMaxIgnoreFileBytes = 1 << 20;
constexpr std::int64_t kBeginningBytes = 4096;
constexpr char kRisemlIgnore[] = ".risemlignore";
constexpr char kGitIgnore[] = ".gitignore";
constexpr char kGit[] = ".git";

// Adds the patterns of a file; an absent file has none.
absl::Status ReadPatterns(const std::string& path, PatternFile file, std::vector<PatternFile>& out) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxIgnoreFileBytes);
  if (HasReason(text.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(While("read the list of ignored files", text.status()));
  file.patterns = ParsePatterns(*text);
  out.push_back(std::move(file));
  return absl::OkStatus();
}

std::string Join(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

bool HasName(const std::vector<std::string>& names, absl::string_view name) {
  return std::binary_search(names.begin(), names.end(), name);
}

std::string PatternReason(const Pattern& pattern, const PatternFile& file) {
  return absl::StrCat(git::Printable(pattern.text), " in ", git::Printable(file.source));
}

// True for "*", "**/" and their like. "!*/" undoes an earlier "*" and overrides no other rule.
bool MatchesAnything(const Pattern& pattern) { return pattern.glob.find_first_not_of("*?/") == std::string::npos; }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string WithHome(absl::string_view path) {
  if (!absl::StartsWith(path, "~/")) return std::string(path);
  return absl::StrCat(Environment("HOME"), path.substr(1));
}

// core.excludesFile of a git configuration; empty when it names none.
std::string ExcludesFileOf(const std::string& config) {
  const absl::StatusOr<std::string> text = ReadFile(config, kMaxIgnoreFileBytes);
  if (!text.ok()) return "";
  bool in_core = false;
  std::string found;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "[")) in_core = absl::EqualsIgnoreCase(line, "[core]");
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (!in_core || !absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), "excludesfile")) continue;
    absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    if (absl::ConsumePrefix(&value, "\"")) absl::ConsumeSuffix(&value, "\"");
    found = WithHome(value);
  }
  return found;
}

// Path of the user's global ignore file of git, looked up in git's order.
std::string UserExcludes(const GitDirectory& directory) {
  const std::string home = Environment("HOME");
  const std::string xdg = Environment("XDG_CONFIG_HOME");
  const std::string config = xdg.empty() ? absl::StrCat(home, "/.config") : xdg;
  for (const std::string& file : {absl::StrCat(directory.common, "/config"), absl::StrCat(home, "/.gitconfig"),
                                  absl::StrCat(config, "/git/config")})
    if (std::string path = ExcludesFileOf(file); !path.empty()) return path;
  return absl::StrCat(config, "/git/ignore");
}

}  // namespace

absl::StatusOr<Excluder> Excluder::Open(const std::string& root) {
  Excluder excluder(root);
  RISEML_RETURN_IF_ERROR(excluder.ReadGitFiles());
  return excluder;
}

absl::Status Excluder::ReadGitFiles() {
  std::error_code error;
  const std::filesystem::path project = std::filesystem::canonical(root_, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("open the project ", root_));
  std::filesystem::path top = project;
  while (!std::filesystem::exists(top / kGit, error)) {
    if (top == top.parent_path()) return absl::OkStatus();
    top = top.parent_path();
  }
  work_tree_ = top.string();
  const auto above = [&project](const std::filesystem::path& directory) {
    return directory == project ? std::string() : project.lexically_relative(directory).string();
  };
  const GitDirectory directory = OpenGitDirectory(work_tree_);
  if (directory.git.empty()) {
    warnings_.push_back(absl::StrCat(work_tree_, "/.git is not a git repository; only ignore files are used"));
  } else {
    const std::string prefix = above(top);
    tracked_.push_back(ReadTrackedFiles(directory, prefix.empty() ? "" : absl::StrCat(prefix, "/"), "", warnings_));
    submodules_ = tracked_.back().submodules();
    const std::string user = UserExcludes(directory);
    RISEML_RETURN_IF_ERROR(ReadPatterns(user, {user, "", above(top), {}}, git_));
    RISEML_RETURN_IF_ERROR(
        ReadPatterns(absl::StrCat(directory.common, "/info/exclude"), {".git/info/exclude", "", above(top), {}}, git_));
  }
  std::vector<std::filesystem::path> directories;
  for (std::filesystem::path at = project; at != top;) directories.push_back(at = at.parent_path());
  for (auto at = directories.rbegin(); at != directories.rend(); ++at) {
    const std::string file = (*at / kGitIgnore).string();
    RISEML_RETURN_IF_ERROR(ReadPatterns(file, {file, "", above(*at), {}}, git_));
  }
  if (IsIgnoredAsAWhole(above(top))) ForgetRepository();
  return absl::OkStatus();
}

// `project` is its path in the work tree. The rules of a repository that ignores the project and tracks no file in it
// do not apply, e.g. a home directory under git with "*".
bool Excluder::IsIgnoredAsAWhole(const std::string& project) const {
  if (project.empty() ||
      std::any_of(tracked_.begin(), tracked_.end(), [](const auto& files) { return !files.empty(); }))
    return false;
  std::vector<PatternFile> files = git_;
  for (PatternFile& file : files) {
    // `above` is the path from the file to the project; the rest of the path is the file's directory.
    file.directory = project.substr(0, project.size() - file.above.size());
    if (absl::EndsWith(file.directory, "/")) file.directory.pop_back();
    file.above.clear();
  }
  for (std::size_t end = project.find('/');; end = project.find('/', end + 1)) {
    const Pattern* pattern = FindPattern(files, absl::string_view(project).substr(0, end), true);
    if (pattern != nullptr && !pattern->negated) return true;
    if (end == std::string::npos) return false;
  }
}

void Excluder::ForgetRepository() {
  work_tree_.clear();
  git_.clear();
  tracked_.clear();
  submodules_.clear();
}

absl::Status Excluder::Enter(const std::string& directory, const std::vector<std::string>& names) {
  levels_.push_back({riseml_.size(), git_.size(), tracked_.size()});
  if (HasName(names, kGit) && !directory.empty()) RISEML_RETURN_IF_ERROR(EnterRepository(directory));
  for (const char* name : {kGitIgnore, kRisemlIgnore}) {
    if (!HasName(names, name)) continue;
    const std::string source = Join(directory, name);
    RISEML_RETURN_IF_ERROR(
        ReadPatterns(Join(root_, source), {source, directory, "", {}}, name == kGitIgnore ? git_ : riseml_));
  }
  return absl::OkStatus();
}

// Adds what a checked-out submodule or a nested repository tracks and excludes.
absl::Status Excluder::EnterRepository(const std::string& directory) {
  const GitDirectory git = OpenGitDirectory(Join(root_, directory));
  if (git.git.empty()) return absl::OkStatus();
  tracked_.push_back(ReadTrackedFiles(git, "", absl::StrCat(directory, "/"), warnings_));
  return ReadPatterns(absl::StrCat(git.common, "/info/exclude"),
                      {absl::StrCat(directory, "/.git/info/exclude"), directory, "", {}}, git_);
}

void Excluder::Leave() {
  riseml_.resize(levels_.back().riseml);
  git_.resize(levels_.back().git);
  tracked_.resize(levels_.back().tracked);
  levels_.pop_back();
}

bool Excluder::IsTracked(absl::string_view path) const {
  return std::any_of(tracked_.begin(), tracked_.end(), [&](const TrackedFiles& files) { return files.Contains(path); });
}

// Applies the rules of git, of secrets and the defaults, after .risemlignore and the index.
Decision Excluder::Ordinary(absl::string_view path, bool is_directory) const {
  const PatternFile* file = nullptr;
  const Pattern* pattern = FindPattern(git_, path, is_directory, &file);
  const bool secret = LooksLikeSecret(path, is_directory);
  if (pattern != nullptr && !pattern->negated)
    return {Decision::Rule::kGitIgnore, PatternReason(*pattern, *file), secret};
  if (secret) return {Decision::Rule::kSecret, "looks like a secret", true};
  std::string reason = ReasonByName(path, is_directory);
  if (pattern != nullptr || reason.empty()) return {};
  return {Decision::Rule::kDefault, std::move(reason), false};
}

Decision Excluder::Check(absl::string_view path, bool is_directory) const {
  const std::size_t slash = path.rfind('/');
  const absl::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  if (absl::EqualsIgnoreCase(name, kGit)) return {Decision::Rule::kNever, "git's own directory", false};
  const PatternFile* file = nullptr;
  const Pattern* pattern = FindPattern(riseml_, path, is_directory, &file);
  if (pattern != nullptr && !(pattern->negated && MatchesAnything(*pattern)))
    return {pattern->negated ? Decision::Rule::kBroughtBack : Decision::Rule::kRisemlIgnore,
            PatternReason(*pattern, *file), LooksLikeSecret(path, is_directory)};
  Decision decision = Ordinary(path, is_directory);
  const bool settings = slash == path.npos && !is_directory && WildMatch("riseml*.yml", name);
  if (!decision.taken() && !is_directory && !settings && IsTracked(path)) decision.rule = Decision::Rule::kTracked;
  return decision;
}

Decision Excluder::CheckContents(absl::string_view path, const Decision& decision,
                                 const std::vector<std::string>& names, const ReadEntry& read) const {
  if (decision.rule == Decision::Rule::kBroughtBack) return decision;
  std::string reason = ReasonByContents(path, names, read);
  if (reason.empty() || FindPattern(git_, path, true) != nullptr) return decision;
  // A pattern for a directory of runs applies to the runs in it too.
  const absl::string_view parent = path.substr(0, std::min(path.rfind('/'), path.size()));
  if (parent.size() < path.size() && (parent == "wandb" || absl::EndsWith(parent, "/wandb")) &&
      (FindPattern(git_, parent, true) != nullptr || FindPattern(riseml_, parent, true) != nullptr))
    return decision;
  return {Decision::Rule::kDefault, std::move(reason), false};
}

bool Excluder::ReachesBelow(absl::string_view directory, const Decision& decision) const {
  if (decision.rule == Decision::Rule::kNever) return false;
  if (std::any_of(riseml_.begin(), riseml_.end(),
                  [&](const PatternFile& file) { return BringsBackBelow(file, directory); }))
    return true;
  if (decision.rule == Decision::Rule::kRisemlIgnore) return false;
  return std::any_of(tracked_.begin(), tracked_.end(),
                     [&](const TrackedFiles& files) { return files.HasBelow(directory); });
}

absl::StatusOr<std::vector<std::string>> ListDirectory(int fd, const std::string& path) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return ErrnoError(errno, absl::StrCat("list ", path));
  DIR* raw = fdopendir(copy);
  if (raw == nullptr) {
    const int error = errno;
    close(copy);
    return ErrnoError(error, absl::StrCat("list ", path));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(raw, &closedir);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(raw)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return ErrnoError(errno, absl::StrCat("list ", path));
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::optional<Decision>> WhyLeftOut(const std::string& root, absl::string_view path) {
  RISEML_ASSIGN_OR_RETURN(Excluder excluder, Excluder::Open(root));
  std::optional<Decision> outer;
  Decision last;
  std::string at;
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string directory = Join(root, at);
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(directory, O_RDONLY | O_DIRECTORY));
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(fd.get(), directory));
    const ReadEntry read = [&](absl::string_view name) {
      return ReadFile(Join(directory, name), kBeginningBytes).value_or("");
    };
    if (i > 0 && !outer) {
      last = excluder.CheckContents(at, last, names, read);
      if (!last.taken()) outer = last;
    }
    RISEML_RETURN_IF_ERROR(excluder.Enter(at, names));
    at = Join(at, parts[i]);
    struct stat info {};
    if (lstat(Join(root, at).c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", at));
    last = excluder.Check(at, S_ISDIR(info.st_mode));
    if (last.rule == Decision::Rule::kBroughtBack) outer.reset();
    if (last.taken() && outer && !(last.rule == Decision::Rule::kTracked || excluder.IsTracked(at))) continue;
    if (last.taken() && i + 1 == parts.size()) return std::optional<Decision>();
    if (!last.taken() && !outer) outer = last;
  }
  return outer;
}

}  // namespace riseml::sync
