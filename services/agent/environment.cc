#include "services/agent/environment.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace riseml::agent {
namespace {

constexpr absl::string_view kSystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// TLS, proxies, locale; names are compared in upper case, since proxies are written in both.
constexpr absl::string_view kInheritedNames[] = {
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY",
    "HTTPS_PROXY",   "ALL_PROXY",    "NO_PROXY",           "LANG",           "LC_ALL",
    "LC_CTYPE",      "TZ",           "GIT_SSL_CAINFO"};
constexpr absl::string_view kInheritedPrefixes[] = {"PIP_", "UV_"};
// Settings that would lead pip to places a job does not have.
constexpr absl::string_view kNotInherited[] = {"PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_USER", "PIP_TARGET",
                                               "PIP_PREFIX",      "PIP_ROOT",      "PIP_LOG",  "UV_CACHE_DIR"};
// Set by the product alone.
constexpr absl::string_view kReserved[] = {"PATH",          "HOME",        "PYTHONPATH",
                                           "RISEML_SOCKET", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"};

bool IsInherited(absl::string_view name) {
  const std::string upper = absl::AsciiStrToUpper(name);
  if (std::ranges::find(kNotInherited, upper) != std::end(kNotInherited)) return false;
  return std::ranges::find(kInheritedNames, upper) != std::end(kInheritedNames) ||
         std::ranges::any_of(kInheritedPrefixes, [&upper](absl::string_view p) { return absl::StartsWith(upper, p); });
}

}  // namespace

Variables InheritedVariables(const Variables& node) {
  Variables out;
  for (const auto& [name, value] : node)
    if (IsInherited(name)) out[name] = value;
  return out;
}

std::vector<std::string> InheritedPaths(const Variables& node) {
  std::set<std::string> paths;
  for (const auto& [name, value] : InheritedVariables(node))
    for (const absl::string_view word : absl::StrSplit(value, absl::ByAnyChar(" :"), absl::SkipEmpty()))
      if (absl::StartsWith(word, "/") && !absl::StartsWith(word, "//")) paths.emplace(word);
  return {paths.begin(), paths.end()};
}

Variables JobVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths, const Variables& node) {
  Variables out = InheritedVariables(node);
  out.try_emplace("LANG", "C.UTF-8");
  const std::string& owner = start.template_().owner();
  out["USER"] = owner.empty() ? std::string("riseml") : owner;
  out["LOGNAME"] = out["USER"];
  out["TMPDIR"] = paths.temporary;
  out.insert_or_assign("PYTHONUNBUFFERED", "1");
  if (!paths.pip_config.empty()) out["PIP_CONFIG_FILE"] = paths.pip_config;
  if (!paths.output.empty()) out["OUTPUT_DIR"] = paths.output;
  if (!paths.data.empty()) out["RISEML_DATA_DIR"] = paths.data;
  for (int i = 0; i < start.template_().commands_size(); ++i)
    out[absl::StrCat("COMMAND_", i + 1)] = start.template_().commands(i);
  for (const auto& [name, value] : start.template_().environment())
    if (std::ranges::find(kReserved, name) == std::end(kReserved)) out[name] = value;

  const bool bare = start.environment_path().empty();
  out["PATH"] = absl::StrCat(bare ? paths.control : start.environment_path(), "/bin:", kSystemPath);
  if (!bare) out["VIRTUAL_ENV"] = start.environment_path();
  out["HOME"] = absl::StrCat(paths.temporary, "/home");
  if (!paths.python_client.empty()) out["PYTHONPATH"] = paths.python_client;
  out["RISEML_SOCKET"] = absl::StrCat(paths.control, "/socket");
  out["CUDA_VISIBLE_DEVICES"] = absl::StrJoin(start.gpu_uuids(), ",");
  return out;
}

Variables OwnVariables() {
  Variables out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> variable = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    out.insert(variable);
  }
  return out;
}

}  // namespace riseml::agent
