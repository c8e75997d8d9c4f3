#include "cli/sync/default_rules.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "cli/sync/ignore.h"

namespace riseml::sync {
namespace {

constexpr const char* kSecretFiles[] = {
    // Settings with credentials
    ".env", ".env.*", ".env-*", ".env~", "*.env", "env.local", ".envrc", "*.env.local", "config.local",
    "config.local.*", "settings.local.*", "credentials", "*credentials.json", "*credentials.yaml", "*credentials.yml",
    "secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml", "secret.json", "secret.toml", "secret.yaml",
    "secret.yml", "passwords.txt", "terraform.tfstate", "secrets.env", ".secrets", ".secrets.*", "client_secret*.json",
    "service[-_]account*.json", "kaggle.json", "rclone.conf", "*kubeconfig*",
    // Keys and tokens
    "*.pem", "*.key", "*.ppk", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*",
    "id_ed25519*", "*.token", ".token", "*.secret", "*.pem.bak", "api[-_]key.txt", "hf_token", ".hf_token",
    ".huggingface_token", ".wandb_api_key", ".neptune_token",
    // Of one program each
    ".netrc", "_netrc", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials", ".npmrc", ".s3cfg", ".boto", ".dockercfg",
    ".htpasswd", ".vault-token", ".Renviron", ".comet.config", ".databrickscfg", ".modal.toml"};
constexpr const char* kSecretDirectories[] = {".aws",    ".ssh", ".gnupg", ".azure",  ".kube",
                                              ".kaggle", ".env", ".envs",  ".secrets"};
// Endings of files that are meant to be published.
constexpr const char* kPublicEndings[] = {".pub", ".example", ".examples", ".sample",   ".template", ".tmpl",
                                          ".tpl", ".dist",    ".default",  ".defaults", ".schema",   ".skel"};
constexpr const char* kCodeEndings[] = {".py", ".pyx", ".pyi", ".ipynb", ".sh", ".bash", ".c",    ".cc", ".cpp",
                                        ".cu", ".cuh", ".h",   ".hpp",   ".rs", ".go",   ".java", ".js", ".ts",
                                        ".r",  ".jl",  ".lua", ".m",     ".md", ".rst",  ".scala"};
constexpr const char* kSettingEndings[] = {".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".txt", ".conf", ".gin"};

struct NameRule {
  const char* glob;
  bool directory;
  const char* reason;
};
constexpr NameRule kNameRules[] = {
    {"__pycache__", true, "Python's cache"},          {"*.pyc", false, "compiled Python"},
    {".ipynb_checkpoints", true, "Jupyter's copies"}, {".hg", true, "Mercurial's own directory"},
    {".svn", true, "Subversion's own directory"},     {".jj", true, "Jujutsu's own directory"}};
constexpr char kCacheTag[] = "CACHEDIR.TAG";
constexpr char kCacheSignature[] = "Signature: 8a477f597d28d172789f06886806bc55";

absl::string_view LastPart(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

template <std::size_t n>
bool EndsWithAny(absl::string_view name, const char* const (&endings)[n]) {
  return std::any_of(endings, endings + n, [&](const char* end) { return absl::EndsWith(name, end); });
}

bool Holds(const std::vector<std::string>& names, absl::string_view name) {
  return std::binary_search(names.begin(), names.end(), name);
}

bool HoldsLike(const std::vector<std::string>& names, absl::string_view glob) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return WildMatch(glob, name); });
}

// Names that Weights & Biases gives to runs in its directory.
constexpr const char* kWandbRuns[] = {"run-*-*", "offline-run-*", "latest-run", "debug-internal.log", "sweep-*"};

// A directory of runs, or one run in a directory of that name that holds code too.
bool IsWandb(absl::string_view path, const std::vector<std::string>& names) {
  const absl::string_view name = LastPart(path);
  const absl::string_view parent = LastPart(path.substr(0, path.size() - std::min(path.size(), name.size() + 1)));
  const auto is_run = [](absl::string_view entry) {
    return std::any_of(std::begin(kWandbRuns), std::end(kWandbRuns),
                       [&](const char* glob) { return WildMatch(glob, entry); });
  };
  if (parent == "wandb" && is_run(name)) return true;
  if (name != "wandb" || HoldsLike(names, "*.py")) return false;
  return path == "wandb" || std::any_of(names.begin(), names.end(), is_run);
}

bool IsNodeModules(absl::string_view path, const std::vector<std::string>& names) {
  if (LastPart(path) != "node_modules") return false;
  if (path == "node_modules") return true;
  for (const char* name : {".package-lock.json", ".yarn-integrity", ".yarn-state.yml", ".modules.yaml", ".bin"})
    if (Holds(names, name)) return true;
  return false;
}

bool IsSitePackages(absl::string_view path, const std::vector<std::string>& names) {
  const absl::string_view name = LastPart(path);
  return (name == "site-packages" || name == "dist-packages") &&
         (HoldsLike(names, "*.dist-info") || HoldsLike(names, "*.egg-info"));
}

bool IsDvcInternal(absl::string_view path) {
  for (const absl::string_view inner : {".dvc/cache", ".dvc/tmp"})
    if (path == inner || (absl::EndsWith(path, inner) && path[path.size() - inner.size() - 1] == '/')) return true;
  return false;
}

}  // namespace

bool LooksLikeSecret(absl::string_view path, bool is_directory) {
  const absl::string_view name = LastPart(path);
  if (is_directory)
    return std::any_of(std::begin(kSecretDirectories), std::end(kSecretDirectories),
                       [&](const char* secret) { return name == secret; });
  const std::string lower = absl::AsciiStrToLower(name);
  if (EndsWithAny(lower, kPublicEndings) || EndsWithAny(lower, kCodeEndings)) return false;
  for (const absl::string_view known : {".docker/config.json", ".huggingface/token"})
    if (path == known || absl::EndsWith(path, std::string("/").append(known.data(), known.size()))) return true;
  return std::any_of(std::begin(kSecretFiles), std::end(kSecretFiles),
                     [&](const char* glob) { return WildMatch(glob, name); });
}

std::string ReasonByName(absl::string_view path, bool is_directory) {
  const absl::string_view name = LastPart(path);
  if (path.size() == name.size() && !is_directory && WildMatch("riseml*.yml", name))
    return "settings of runs, not code";
  for (const NameRule& rule : kNameRules)
    if (rule.directory == is_directory && WildMatch(rule.glob, name)) return rule.reason;
  if (is_directory && IsDvcInternal(path)) return "DVC's cache";
  return "";
}

std::string ReasonByContents(absl::string_view path, const std::vector<std::string>& names, const ReadEntry& read) {
  if (Holds(names, "pyvenv.cfg")) return "Python virtual environment";
  if (Holds(names, "conda-meta")) return "conda environment";
  if (IsNodeModules(path, names)) return "installed packages";
  if (IsSitePackages(path, names)) return "installed packages";
  if (IsWandb(path, names)) return "Weights & Biases' local runs";
  if (Holds(names, kCacheTag) && absl::StartsWith(read(kCacheTag), kCacheSignature)) return "cache of a program";
  if (Holds(names, "supervisor.json") && Holds(names, "FORMAT")) return "a RiseML installation";
  // A bare repository, or git's directory under another name.
  if (Holds(names, "HEAD") && Holds(names, "objects") && Holds(names, "refs") && Holds(names, "config"))
    return "git repository without files";
  return "";
}

bool LooksLikeCode(absl::string_view path) {
  const std::string lower = absl::AsciiStrToLower(LastPart(path));
  return EndsWithAny(lower, kCodeEndings) || EndsWithAny(lower, kSettingEndings);
}

}  // namespace riseml::sync
