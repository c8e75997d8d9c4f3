#include "services/agent/launch/passwords.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/agent/launch/package_settings.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxSettingsBytes = 1 << 20;
constexpr absl::string_view kEndsOfAuthority = " \t\r\n\"'`<>,/?#";
// Parts of names such as UV_INDEX_OURS_PASSWORD and UV_PUBLISH_TOKEN. The last two names are those of a file with
// variables and of a file with a private key.
constexpr absl::string_view kSecretNames[] = {"PASSWORD", "TOKEN",       "SECRET",         "CREDENTIAL",
                                              "USERNAME", "UV_ENV_FILE", "PIP_CLIENT_CERT"};

// Files that pip, uv, conda, curl, wget, apt and shells read on their own. A job would see them in its sandbox; those
// with a password are hidden.
constexpr const char* kMachineFiles[] = {
    "/etc/pip.conf",       "/etc/xdg/pip/pip.conf", "/usr/pip.conf",      "/usr/local/pip.conf", "/etc/uv/uv.toml",
    "/etc/xdg/uv/uv.toml", "/etc/conda/.condarc",   "/etc/conda/condarc", "/etc/netrc",          "/etc/curlrc",
    "/etc/wgetrc",         "/etc/environment",      "/etc/profile",       "/etc/bash.bashrc",    "/etc/apt/apt.conf"};
constexpr const char* kMachineDirectories[] = {"/etc/apt/apt.conf.d", "/etc/profile.d"};

bool IsSecretName(absl::string_view name) {
  const std::string upper = absl::AsciiStrToUpper(name);
  return std::ranges::any_of(kSecretNames, [&upper](absl::string_view part) { return absl::StrContains(upper, part); });
}

bool IsProxyName(absl::string_view name) { return absl::EndsWith(absl::AsciiStrToUpper(name), "_PROXY"); }

// Returns the start of the user name or password before the '@' at `at`; `at` if there is none.
std::size_t BeginOfUserinfo(absl::string_view text, std::size_t at, bool bare) {
  std::size_t begin = at;
  while (begin > 0 && !absl::StrContains(kEndsOfAuthority, text[begin - 1])) --begin;
  const absl::string_view before = text.substr(begin, at - begin);
  if (before == "git") return at;  // as in git+ssh://git@host: no secret
  if (begin >= 2 && text.substr(begin - 2, 2) == "//") return begin;
  const std::size_t colon = before.find(':');
  const bool in_path = begin > 0 && text[begin - 1] == '/';
  if (!bare || in_path || colon == absl::string_view::npos) return at;
  const std::size_t assigned = before.substr(0, colon).rfind('=');
  return assigned == absl::string_view::npos ? begin : begin + assigned + 1;
}

bool NamesAUser(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxSettingsBytes);
  return text.ok() && WithoutUserinfo(*text, false) != *text;
}

}  // namespace

std::string WithoutUserinfo(absl::string_view text, bool bare) {
  std::string out(text);
  // Searches from the end, since the last '@' in a URL ends the password.
  for (std::size_t at = out.size(); at > 0;) {
    at = out.rfind('@', at - 1);
    if (at == std::string::npos) break;
    const std::size_t begin = BeginOfUserinfo(out, at, bare);
    out.erase(begin, begin < at ? at + 1 - begin : 0);
    at = begin;
  }
  return out;
}

std::vector<std::string> MachineFilesWithPasswords() {
  std::vector<std::string> paths(std::begin(kMachineFiles), std::end(kMachineFiles));
  std::error_code error;
  for (const char* directory : kMachineDirectories)
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
      paths.push_back(entry.path().string());
  std::vector<std::string> found;
  for (const std::string& path : paths)
    // For a link, its target is hidden.
    if (FileExists(path) && NamesAUser(path)) found.push_back(fs::canonical(path, error).string());
  std::ranges::sort(found);
  return found;
}

JobSettings WithoutPasswords(const Variables& node) {
  JobSettings settings{.variables = node, .stripped = {}, .withheld = {}};
  for (const auto& [name, value] : InheritedVariables(node)) {
    if (IsSecretName(name) || std::ranges::any_of(PathsIn(value), NamesAUser)) {
      settings.variables.erase(name);
      settings.withheld.push_back(name);
      continue;
    }
    std::string clean = WithoutUserinfo(value, IsProxyName(name));
    if (clean == value) continue;
    settings.variables[name] = std::move(clean);
    settings.stripped.push_back(name);
  }
  const std::string pip_config = PipConfigOf(node);
  if (pip_config.empty()) return settings;
  const std::string text = ReadFile(pip_config, kMaxSettingsBytes).value_or("");
  if (WithoutUserinfo(text, true) != text) settings.stripped.push_back(pip_config);
  return settings;
}

std::string NoteOnPasswords(const JobSettings& settings, const std::vector<std::string>& hidden) {
  std::vector<std::string> clauses;
  if (!settings.stripped.empty())
    clauses.push_back(absl::StrCat("get ", absl::StrJoin(settings.stripped, ", "), " without the password in it"));
  std::vector<std::string> missing = settings.withheld;
  missing.insert(missing.end(), hidden.begin(), hidden.end());
  if (!missing.empty()) clauses.push_back(absl::StrCat("do not get ", absl::StrJoin(missing, ", ")));
  if (clauses.empty()) return "";
  return absl::StrCat(
      "jobs ", absl::StrJoin(clauses, " and "),
      ", since every user could read these passwords; a user whose jobs need one stores it with `riseml secret set`");
}

}  // namespace riseml::agent
