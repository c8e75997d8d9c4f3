#include "services/builder/environment/plan.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/builder/environment/explain.h"
#include "services/builder/environment/leavings.h"
#include "services/builder/reads/system_tools.h"

namespace riseml::builder {
namespace {

bool IsPlainWord(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '/' || c == '.' || c == '_' || c == '-' || c == '=' || c == '+';
  });
}

std::string Refusal(absl::string_view text) { return absl::StrCat("printf '%s\\n' ", Quote(text), " >&2; exit 1"); }

// `uv venv`, `python -m venv` and `virtualenv` would make an environment that the job does not use: the name becomes a
// link to the job's, so that `.venv/bin/activate` and `.venv/bin/python` work in steps and in jobs.
constexpr char kVenv[] = R"sh(riseml_venv() {
  riseml_name=$1
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
      -p|--python|--prompt|--link-mode|--index-url|--default-index|-i) if [ $# -gt 1 ]; then shift; fi ;;
      -*) ;;
      *) riseml_name=$1 ;;
    esac
    shift
  done
  echo "$riseml_name is the environment of the job; no other virtual environment is made"
  if [ ! -e "$riseml_name" ]; then ln -s "$VIRTUAL_ENV" "$riseml_name"; fi
}
uv() {
  if [ "${1:-}" != venv ]; then command uv "$@"; return; fi
  shift
  riseml_venv .venv "$@"
}
riseml_python() {
  if [ "${2:-} ${3:-}" != "-m venv" ]; then command "$@"; return; fi
  shift 3
  riseml_venv venv "$@"
}
python() { riseml_python python "$@"; }
python3() { riseml_python python3 "$@"; }
virtualenv() { riseml_venv venv "$@"; }
)sh";

// Replaces venv's own error message, which is a page of advice for root.
std::string CheckForVenv(absl::string_view python) {
  const std::string refusal =
      absl::StrCat(python, " cannot make virtual environments here: an administrator has to install its modules venv ",
                   "and ensurepip, on Debian and Ubuntu the package python3-venv");
  return absl::StrCat("{ ", Quote(python), " -I -c 'import ensurepip, venv' 2>/dev/null || { ", Refusal(refusal),
                      "; }; }");
}

bool MakesVenv(absl::string_view install) {
  return absl::StrContains(install, "uv venv") || absl::StrContains(install, "-m venv") ||
         absl::StrContains(install, "virtualenv ");
}

// True for a step that may be refused; its last line of output then says what to write instead.
bool MayBeRefused(absl::string_view install) {
  return !SystemPackageTool(install).empty() || !CondaTool(install).empty();
}

std::string CommandOfInstall(absl::string_view install) {
  if (const std::string tool = SystemPackageTool(install); !tool.empty()) {
    const std::string refusal = absl::StrCat(
        "`", tool, "` is not available: jobs of this installation run in a Python environment without root's rights. ",
        "Install the Python package instead (pip install ...), or ask an administrator to install the system package ",
        "on the nodes and remove this step.");
    return Refusal(refusal);
  }
  const std::string conda = CondaTool(install);
  if (MakesVenv(install)) return absl::StrCat(kVenv, install);
  if (conda.empty()) return std::string(install);
  const std::string refusal = absl::StrCat(
      "`", conda, "` is not installed on this machine: write `pip install PACKAGE...` under `install:` for what the ",
      "step installs, or ask an administrator to install ", conda, ".");
  return absl::StrCat("command -v ", conda, " >/dev/null 2>&1 || { ", Refusal(refusal), "; }\n", install);
}

Step FrameworkStep(const Inputs& inputs) {
  const bool latest = inputs.framework_version.empty();
  const std::string package =
      latest ? inputs.framework : absl::StrCat(inputs.framework, "==", inputs.framework_version);
  const std::string hint =
      latest
          ? absl::StrCat(inputs.framework, " could not be installed for this Python (", inputs.python_version,
                         "). Check the output above: the package index must be reachable from the node and offer it.")
          : absl::StrCat(inputs.framework, " ", inputs.framework_version, " could not be installed for this Python (",
                         inputs.python_version,
                         "). If the output above lists versions, write one of them as `version`, or remove `version` "
                         "for the newest.");
  const std::string install = absl::StrCat("pip install ", Quote(package));
  return {.title = install,
          .command = absl::StrCat(install, " || { printf '%s\\n' ", Quote(hint), " >&2; exit 1; }"),
          .prefix_key = "",
          .reuse_command = "",
          .explains_failure = true};
}

}  // namespace

std::string Quote(absl::string_view text) {
  if (IsPlainWord(text)) return std::string(text);
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string MarkerOf(absl::string_view key) {
  return absl::StrCat("riseml-environment ", kEnvironmentFormat, "\n", key, "\n");
}

std::vector<Step> StepsOf(const Inputs& inputs, absl::string_view key, absl::string_view path) {
  std::vector<Step> steps;
  std::string lines = "printf '%s\\n'";
  for (const std::string& line : DecisionLines(inputs, key)) absl::StrAppend(&lines, " ", Quote(line));
  const std::string remember = RememberCommand(inputs.python, key);
  steps.push_back({.title = "create Python environment",
                   .command = absl::StrCat(lines, " && ", CheckForVenv(inputs.python), " && ", Quote(inputs.python),
                                           " -m venv --clear ", Quote(path), " && ", remember),
                   .prefix_key = PrefixKeyOf(inputs, {.client = false}),
                   .reuse_command = absl::StrCat(lines, " && ", remember),
                   .explains_failure = true});
  if (!inputs.client_dir.empty()) {
    steps.push_back(
        {.title = "add package riseml",
         .command = absl::StrCat("cp -R ", Quote(inputs.client_dir),
                                 " \"$(python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')/riseml\""),
         .prefix_key = PrefixKeyOf(inputs, {}),
         .reuse_command = "",
         .explains_failure = true});
  }
  for (std::size_t i = 0; i < inputs.install.size(); ++i)
    steps.push_back({.title = inputs.install[i],
                     .command = CommandOfInstall(inputs.install[i]),
                     .prefix_key = PrefixKeyOf(inputs, {.installs = i + 1}),
                     .reuse_command = "",
                     .explains_failure = MayBeRefused(inputs.install[i])});
  if (!inputs.framework.empty()) {
    steps.push_back(FrameworkStep(inputs));
    steps.back().prefix_key = PrefixKeyOf(inputs, {.installs = inputs.install.size(), .framework = true});
  }
  steps.push_back({.title = "keep what the steps made",
                   .command = KeepCommand(inputs.python, key, path),
                   .prefix_key = "",
                   .reuse_command = "",
                   .explains_failure = true});
  const std::string marker = absl::StrCat(path, "/", kMarkerName);
  // Everything is synced before the marker, so that an environment with a marker survives a power failure.
  steps.push_back(
      {.title = "seal environment",
       .command = absl::StrCat("printf '%s' \"${RISEML_JOB:-}\" > ", Quote(absl::StrCat(path, "/", kBuiltByName)),
                               " && sync -f ", Quote(path), " && printf 'riseml-environment %s\\n%s\\n' ",
                               kEnvironmentFormat, " ", key, " > ", Quote(marker + ".new"), " && sync ",
                               Quote(marker + ".new"), " && mv ", Quote(marker + ".new"), " ", Quote(marker)),
       .prefix_key = "",
       .reuse_command = "",
       .explains_failure = true});
  return steps;
}

}  // namespace riseml::builder
