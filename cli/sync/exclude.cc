#include "cli/sync/exclude.h"

#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"

namespace riseml::sync {
namespace {

constexpr std::int64_t kMaxIgnoreFileBytes = 1 << 20;
constexpr char kRisemlIgnore[] = ".risemlignore";
constexpr char kGitIgnore[] = ".gitignore";

struct Rule {
  const char* glob;
  bool directory_only;
  const char* reason;
};

// No file brings these back.
constexpr Rule kAlways[] = {
    {"__pycache__", true, "Python's cache"},         {"*.pyc", false, "compiled Python"},
    {"node_modules", true, "installed packages"},    {".ipynb_checkpoints", true, "Jupyter's copies"},
    {"wandb", true, "Weights & Biases' local runs"},
};

constexpr const char* kSecrets[] = {".env",    ".env.*",    "*.pem",       "*.key",        "id_rsa*",
                                    "id_dsa*", "id_ecdsa*", "id_ed25519*", "*kubeconfig*", ".netrc"};
constexpr char kSecretDirectory[] = ".aws";

bool IsSecret(absl::string_view name, bool is_directory) {
  if (is_directory && name == kSecretDirectory) return true;
  for (const char* glob : kSecrets)
    if (WildMatch(glob, name)) return true;
  return false;
}

// Adds the patterns of a file; an absent file has none.
absl::Status ReadPatterns(const std::string& path, PatternFile& out) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxIgnoreFileBytes);
  if (HasReason(text.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(While("read the list of ignored files", text.status()));
  for (Pattern& pattern : ParsePatterns(*text)) out.patterns.push_back(std::move(pattern));
  return absl::OkStatus();
}

std::string Join(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

bool IsRisemlFile(const PatternFile& file) { return absl::EndsWith(file.source, kRisemlIgnore); }

}  // namespace

absl::StatusOr<Excluder> Excluder::Open(const std::string& root) {
  Excluder excluder(root);
  excluder.only_riseml_ = FileExists(absl::StrCat(root, "/", kRisemlIgnore));
  if (!excluder.only_riseml_) RISEML_RETURN_IF_ERROR(excluder.ReadGitFiles());
  RISEML_RETURN_IF_ERROR(excluder.Enter(""));
  return excluder;
}

absl::Status Excluder::ReadGitFiles() {
  std::error_code error;
  const std::filesystem::path project = std::filesystem::canonical(root_, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("open the project ", root_));
  std::filesystem::path top = project;
  while (!std::filesystem::exists(top / ".git", error)) {
    if (top == top.parent_path()) return absl::OkStatus();
    top = top.parent_path();
  }
  const auto above = [&project](const std::filesystem::path& directory) {
    return directory == project ? std::string() : project.lexically_relative(directory).string();
  };
  PatternFile exclude{".git/info/exclude", "", above(top), {}};
  RISEML_RETURN_IF_ERROR(ReadPatterns((top / ".git/info/exclude").string(), exclude));
  files_.push_back(std::move(exclude));
  std::vector<std::filesystem::path> directories;
  for (std::filesystem::path at = project; at != top;) directories.push_back(at = at.parent_path());
  for (auto directory = directories.rbegin(); directory != directories.rend(); ++directory) {
    PatternFile file{(*directory / kGitIgnore).string(), "", above(*directory), {}};
    RISEML_RETURN_IF_ERROR(ReadPatterns(file.source, file));
    files_.push_back(std::move(file));
  }
  return absl::OkStatus();
}

absl::Status Excluder::Enter(const std::string& directory) {
  PatternFile file;
  file.directory = directory;
  file.source = Join(directory, kRisemlIgnore);
  const std::string path = Join(root_, file.source);
  if (!only_riseml_ && !FileExists(path)) file.source = Join(directory, kGitIgnore);
  RISEML_RETURN_IF_ERROR(ReadPatterns(Join(root_, file.source), file));
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

std::optional<Exclusion> Excluder::Check(absl::string_view path, bool is_directory) const {
  const std::size_t slash = path.rfind('/');
  const absl::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  if (absl::EqualsIgnoreCase(name, ".git")) return Exclusion{"git's own directory"};
  for (const Rule& rule : kAlways)
    if (rule.directory_only <= is_directory && WildMatch(rule.glob, name)) return Exclusion{rule.reason};
  if (is_directory && FileExists(absl::StrCat(Join(root_, path), "/pyvenv.cfg")))
    return Exclusion{"Python virtual environment"};
  if (slash == path.npos && !is_directory && WildMatch("riseml*.yml", name))
    return Exclusion{"settings of runs, not code"};

  const PatternFile* file = nullptr;
  const Pattern* pattern = FindPattern(files_, path, is_directory, &file);
  if (pattern != nullptr && !pattern->negated)
    return Exclusion{absl::StrCat(git::Printable(pattern->text), " in ", file->source)};
  const bool brought_back = pattern != nullptr && IsRisemlFile(*file);
  if (!brought_back && IsSecret(name, is_directory)) return Exclusion{"looks like a secret", true};
  return std::nullopt;
}

}  // namespace riseml::sync
