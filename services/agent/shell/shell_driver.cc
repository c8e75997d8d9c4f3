#include "services/agent/shell/shell_driver.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace riseml::agent {
namespace {

constexpr int kMostLines = 10'000'000;

// Names begin with __riseml_. Builtins are called with `builtin`, since projects replace `cd` and others by functions.
// A failure is reported only in the shell itself, not in its subshells, and only where errors end the shell.
constexpr absl::string_view kBashFunctions = R"SH(
__riseml_save() {
  __riseml_directory=$PWD
  {
    builtin set +o
    builtin echo 'builtin set +e +x'
    builtin shopt -p
    builtin umask -p
    builtin alias -p
    builtin declare -p
    builtin declare -f
  } >|"$__riseml_files/state"
}
__riseml_failed() {
  [[ $- == *e* && $BASHPID == "$$" ]] || builtin return 0
  builtin local i line=0
  for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
    if [[ ${BASH_SOURCE[i]} == "$__riseml_files/$__riseml_item" ]]; then
      line=${BASH_LINENO[i - 1]}
      builtin break
    fi
  done
  builtin printf 'failed %d %d\n' "$line" "$1" >"$__riseml_files/reports"
}
__riseml_begin() {
  [ "$1" = 0 ] || builtin exit "$1"
  __riseml_item=$2
  __riseml_save
  builtin printf 'begin %d\n' "$2" >"$__riseml_files/reports"
  IFS= builtin read -r _ <"$__riseml_files/next"
  builtin set -Ee -o pipefail
}
)SH";

constexpr absl::string_view kPosixFunctions = R"SH(
__riseml_save() {
  __riseml_directory=$PWD
  { export -p; set; } >|"$__riseml_files/state"
}
__riseml_begin() {
  [ "$1" = 0 ] || exit "$1"
  __riseml_item=$2
  __riseml_save
  printf 'begin %d\n' "$2" >"$__riseml_files/reports"
  IFS= read -r _ <"$__riseml_files/next"
  set -e
}
)SH";

// Error messages are hidden, since some variables cannot be restored.
constexpr absl::string_view kRestore = R"SH(
if [ -e "$__riseml_files/state" ]; then
  . "$__riseml_files/state"
  command cd "$__riseml_directory" >/dev/null || :
fi 2>/dev/null
)SH";

bool IsVariableName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(name, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

}  // namespace

std::string QuoteForShell(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", R"('\'')"}}), "'");
}

std::string StateWithVariables(absl::string_view state, const ShellVariables& before, const ShellVariables& now) {
  std::string text = absl::StrCat(state, "\n");
  for (const auto& [name, value] : before) {
    const auto given = now.find(name);
    if (!IsVariableName(name) || (given != now.end() && given->second == value)) continue;
    absl::StrAppend(&text, "command [ \"${", name, "-}\" != ", QuoteForShell(value), " ] || ");
    if (given == now.end())
      absl::StrAppend(&text, "command unset ", name, "\n");
    else
      absl::StrAppend(&text, "command export ", name, "=", QuoteForShell(given->second), "\n");
  }
  for (const auto& [name, value] : now)
    if (IsVariableName(name) && !before.contains(name))
      absl::StrAppend(&text, "command export ", name, "=", QuoteForShell(value), "\n");
  return text;
}

std::string DriverScript(const DriverPlan& plan) {
  const bool bash = plan.kind == ShellKind::kBash;
  const std::string settings = absl::StrCat("__riseml_files=", QuoteForShell(plan.directory), "\n");
  std::string text = settings;
  // Settings must be set again, since the saved state contains those of the previous shell.
  if (plan.first > 1) absl::StrAppend(&text, kRestore, settings);
  absl::StrAppend(&text, "__riseml_item=", plan.first, bash ? kBashFunctions : kPosixFunctions);
  if (bash) absl::StrAppend(&text, "builtin trap '{ __riseml_failed \"$?\"; } 2>/dev/null' ERR\n");
  if (plan.first < plan.last) absl::StrAppend(&text, "command trap '{ __riseml_save; } 2>/dev/null' EXIT\n");
  absl::StrAppend(&text, bash ? "builtin set -Ee -o pipefail\n"
                              : "if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi\nset -e\n");
  for (int item = plan.first; item <= plan.last; ++item) {
    if (item > plan.first) absl::StrAppend(&text, "{ __riseml_begin \"$?\" ", item, "; } 2>/dev/null\n");
    absl::StrAppend(&text, ". ", QuoteForShell(absl::StrCat(plan.directory, "/", item)), "\n");
  }
  return text;
}

std::optional<ShellReport> ParseShellReport(absl::string_view line) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  ShellReport report;
  if (words.size() < 2 || !absl::SimpleAtoi(words[1], &report.number) || report.number < 0 ||
      report.number > kMostLines)
    return std::nullopt;
  if (words[0] == "begin" && words.size() == 2) return report;
  report.kind = ShellReport::Kind::kFailed;
  if (words[0] == "failed" && words.size() == 3 && absl::SimpleAtoi(words[2], &report.status)) return report;
  return std::nullopt;
}

int LineOfSyntaxError(absl::string_view complaint) {
  for (const absl::string_view text : absl::StrSplit(complaint, '\n')) {
    const std::size_t at = text.find(": line ");
    if (at == absl::string_view::npos || !(absl::StrContains(text, "syntax error") || absl::StrContains(text, "EOF")))
      continue;
    const absl::string_view rest = text.substr(at + 7);
    int line = 0;
    if (absl::SimpleAtoi(rest.substr(0, rest.find(':')), &line) && line > 0) return line;
  }
  return 0;
}

int LineOfExit(absl::string_view item, int code) {
  const std::string wanted = absl::StrCat("exit ", code);
  int found = 0, number = 0;
  for (const absl::string_view line : absl::StrSplit(item, '\n')) {
    ++number;
    const std::size_t at = line.find(wanted);
    if (at == absl::string_view::npos) continue;
    const std::size_t end = at + wanted.size();
    if (end < line.size() && absl::ascii_isalnum(static_cast<unsigned char>(line[end]))) continue;
    if (found != 0) return 0;
    found = number;
  }
  return found;
}

}  // namespace riseml::agent
