#include "services/common/base/reserved_variables.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace riseml {
namespace {

constexpr unsigned kOwn = 1;      // every job gets its own
constexpr unsigned kDecides = 2;  // it decides what runs
constexpr unsigned kFromApi = 4;  // api sends it with the parameters

struct Reserved {
  absl::string_view name;  // or the beginning of names
  unsigned uses = 0;
};

constexpr Reserved kNames[] = {
    {"PATH", kOwn | kDecides},
    {"HOME", kOwn | kDecides},
    {"SHELL", kOwn | kDecides},
    // Of RiseML and of frameworks.
    {"CUDA_VISIBLE_DEVICES", kOwn},
    {"EXPERIMENT_ID", kOwn | kFromApi},
    {"LOGNAME", kOwn},
    {"OLDPWD", kOwn},
    {"OUTPUT_DIR", kOwn},
    {"PWD", kOwn},
    {"TMPDIR", kOwn},
    {"USER", kOwn},
    {"VIRTUAL_ENV", kOwn},
    {"MASTER_ADDR"},
    {"MASTER_PORT"},
    {"PORT"},
    {"TF_CONFIG"},
    // Of shells and programs.
    {"BASHOPTS"},
    {"BASH_ENV"},
    {"CDPATH"},
    {"COLUMNS"},
    {"DISPLAY"},
    {"EDITOR"},
    {"ENV"},
    {"EUID"},
    {"GROUPS"},
    {"HOSTNAME"},
    {"IFS"},
    {"LANG"},
    {"LINENO"},
    {"LINES"},
    {"MAIL"},
    {"OPTARG"},
    {"OPTIND"},
    {"PAGER"},
    {"PERL5LIB"},
    {"PPID"},
    {"PS1"},
    {"PS4"},
    {"RANDOM"},
    {"SECONDS"},
    {"SHELLOPTS"},
    {"SHLVL"},
    {"TEMP"},
    {"TERM"},
    {"TMP"},
    {"TZ"},
    {"UID"},
};

constexpr Reserved kPrefixes[] = {
    {"RISEML_", kOwn | kDecides},
    {"LD_", kDecides},
    {"PYTHON", kDecides},
    {"BASH_FUNC_"},
    {"COMMAND_"},
    {"GIT_"},
    {"LC_"},
    {"PIP_"},
    {"SSL_"},
    {"UV_"},
};

// True when an entry for the variable has all of `uses`.
bool AnyEntry(absl::string_view variable, unsigned uses) {
  const auto fits = [uses](const Reserved& one) { return (one.uses & uses) == uses; };
  return std::ranges::any_of(kNames, [&](const Reserved& one) { return one.name == variable && fits(one); }) ||
         std::ranges::any_of(kPrefixes,
                             [&](const Reserved& one) { return absl::StartsWith(variable, one.name) && fits(one); });
}

}  // namespace

bool BelongsToJob(absl::string_view variable) { return AnyEntry(variable, 0); }

bool EveryJobHasItsOwn(absl::string_view variable) { return AnyEntry(variable, kOwn); }

bool IsSentByApi(absl::string_view variable) { return AnyEntry(variable, kFromApi); }

bool DecidesWhatRuns(absl::string_view variable) { return AnyEntry(variable, kDecides); }

}  // namespace riseml
