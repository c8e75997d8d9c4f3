#include "services/common/base/reserved_variables.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"

namespace riseml {
namespace {

constexpr absl::string_view kNames[] = {"PATH",       "HOME",        "SHELL",       "USER",     "LOGNAME",
                                        "PWD",        "OLDPWD",      "SHLVL",       "IFS",      "ENV",
                                        "LANG",       "TZ",          "TERM",        "DISPLAY",  "TMPDIR",
                                        "TMP",        "TEMP",        "EDITOR",      "PAGER",    "HOSTNAME",
                                        "MAIL",       "CDPATH",      "PS1",         "PS4",      "BASH_ENV",
                                        "BASHOPTS",   "SHELLOPTS",   "COLUMNS",     "LINES",    "UID",
                                        "EUID",       "PPID",        "GROUPS",      "RANDOM",   "SECONDS",
                                        "LINENO",     "OPTARG",      "OPTIND",      "PERL5LIB", "VIRTUAL_ENV",
                                        "OUTPUT_DIR", "MASTER_ADDR", "MASTER_PORT", "PORT",     "CUDA_VISIBLE_DEVICES"};
constexpr absl::string_view kPrefixes[] = {"RISEML_", "LD_",      "LC_",  "PYTHON", "PIP_",
                                           "UV_",     "COMMAND_", "GIT_", "SSL_",   "BASH_FUNC_"};

}  // namespace

bool BelongsToJob(absl::string_view variable) {
  return std::ranges::find(kNames, variable) != std::end(kNames) ||
         std::ranges::any_of(kPrefixes,
                             [variable](absl::string_view prefix) { return absl::StartsWith(variable, prefix); });
}

}  // namespace riseml
