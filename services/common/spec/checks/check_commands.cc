#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/names.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLargestCommands = 1 << 20;
constexpr std::size_t kMostWarnings = 20;
// Characters that a shell interprets outside of quotes, and those between double quotes.
constexpr absl::string_view kSpecial = " \t\n\"'\\;&|<>()$`*?#~!{}";
constexpr absl::string_view kSpecialInDoubleQuotes = "\"\\$`";

std::vector<std::string> NamesOf(const Train& train) {
  std::vector<std::string> names;
  for (const Parameter& parameter : train.parameters) names.push_back(parameter.name);
  return names;
}

View CommandView(const View& run, std::size_t index) {
  return run.node().kind == Kind::kSequence ? run.Item(index) : run;
}

absl::Status CheckSubstitution(const View& run, const Train& train) {
  std::size_t bytes = 0;
  Combination longest;
  for (const Parameter& parameter : train.parameters) {
    const auto value = std::max_element(parameter.values.begin(), parameter.values.end(),
                                        [](const auto& a, const auto& b) { return a.size() < b.size(); });
    longest.emplace_back(parameter.name, *value);
  }
  const Undeclared undeclared = run.origin().lenient ? Undeclared::kKeep : Undeclared::kRefuse;
  for (std::size_t i = 0; i < train.run.size(); ++i) {
    const auto command = Substitute(train.run[i], longest, undeclared);
    if (!command.ok()) return CommandView(run, i).FailSentence(command.status().message());
    bytes += command->size();
  }
  if (bytes <= kLargestCommands) return absl::OkStatus();
  return run.FailSentence("the commands with their longest values are larger than 1 MiB: put them into a script");
}

// Refuses "${{ lr }}", the form of other systems; here the shell would expand "$0" of "$0.1".
absl::Status CheckDollars(const View& where, absl::string_view command, const Train& train) {
  for (const CommandToken& token : SplitCommand(command, NamesOf(train))) {
    const bool text = token.kind == CommandToken::Kind::kText || token.offset == 0;
    if (text || command[token.offset - 1] != '$') continue;
    if (token.offset >= 2 && command[token.offset - 2] == '\\') continue;
    return where.FailSentence(
        absl::StrCat("the shell would read $", token.text, " as a variable: write ", token.text, " without the $"));
  }
  return absl::OkStatus();
}

// The quote a shell is in after `text`: '\'', '"' or 0.
char QuoteAfter(absl::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'') {
      ++i;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    }
  }
  return quote;
}

// The problem of a value at a place; empty if there is none.
std::string RiskOf(const std::string& value, absl::string_view before, const Parameter& parameter) {
  const char quote = QuoteAfter(before);
  const absl::string_view special = quote == '\'' ? "'" : quote == '"' ? kSpecialInDoubleQuotes : kSpecial;
  if (value.find_first_of(std::string(special)) != std::string::npos || (value.empty() && quote == 0)) {
    return absl::StrCat("the shell interprets the value ", value.empty() ? "''" : value, " of {{", parameter.name,
                        "}}: write \"$", EnvironmentName(parameter.name), "\" instead of {{", parameter.name,
                        "}} to pass it unchanged");
  }
  const bool own_word = before.empty() || absl::ascii_isspace(static_cast<unsigned char>(before.back()));
  if (absl::StartsWith(value, "-") && own_word && !before.empty()) {
    return absl::StrCat("the value ", value, " of {{", parameter.name, "}} looks like an option: write --OPTION={{",
                        parameter.name, "}} in one word");
  }
  return "";
}

// The first value of each parameter that a command does not pass on as it is.
void WarnAboutValues(const View& where, absl::string_view command, const Train& train,
                     std::vector<std::string>& warnings) {
  std::vector<std::string> told;
  for (const CommandToken& token : SplitCommand(command, NamesOf(train))) {
    if (token.kind != CommandToken::Kind::kPlaceholder || std::ranges::count(told, token.name) > 0) continue;
    const auto parameter =
        std::ranges::find_if(train.parameters, [&](const Parameter& p) { return p.name == token.name; });
    for (const std::string& value : parameter->values) {
      const std::string risk = RiskOf(value, command.substr(0, token.offset), *parameter);
      if (risk.empty()) continue;
      if (warnings.size() < kMostWarnings) warnings.push_back(where.Note(risk));
      told.push_back(token.name);
      break;
    }
  }
}

// True if a command contains the parameter, as a placeholder or by the name of its variable.
bool Uses(absl::string_view command, const Parameter& parameter, const std::vector<std::string>& names) {
  if (absl::StrContains(command, EnvironmentName(parameter.name))) return true;
  const std::vector<CommandToken> tokens = SplitCommand(command, names);
  return std::ranges::any_of(tokens, [&](const CommandToken& token) { return token.name == parameter.name; });
}

void WarnAboutUnused(const View& run, const Train& train, std::vector<std::string>& warnings) {
  const std::vector<std::string> names = NamesOf(train);
  for (const Parameter& parameter : train.parameters) {
    const bool used =
        std::ranges::any_of(train.run, [&](const std::string& command) { return Uses(command, parameter, names); }) ||
        std::ranges::any_of(train.env, [&](const auto& variable) { return Uses(variable.second, parameter, names); });
    if (used || warnings.size() >= kMostWarnings) continue;
    warnings.push_back(
        run.Note(absl::StrCat("no command uses the parameter '", parameter.name, "': write {{", parameter.name,
                              "}} in 'run', unless the program reads the variable ", EnvironmentName(parameter.name))));
  }
}

// Warns about "--lr {{lr}}" in a file without parameters: the user more likely forgot them than meant text.
void WarnAboutForgottenParameters(const View& where, absl::string_view command, std::vector<std::string>& warnings) {
  for (const CommandToken& token : SplitCommand(command, {})) {
    if (token.kind != CommandToken::Kind::kUnknown) continue;
    absl::string_view before = command.substr(0, token.offset);
    if (!before.empty() && (before.back() == ' ' || before.back() == '=')) before.remove_suffix(1);
    const std::size_t blank = before.find_last_of(" \t\n");
    const absl::string_view option = before.substr(blank == before.npos ? 0 : blank + 1);
    if (!absl::StartsWith(option, "--") || warnings.size() >= kMostWarnings) continue;
    warnings.push_back(where.Note(absl::StrCat(token.text, " is text, since the file declares no parameters: add '",
                                               token.name, "' under 'parameters:' if values should take its place")));
  }
}

// True when `command` is a test, whose failure is an answer.
bool IsQuestion(absl::string_view command) {
  const absl::string_view word = command.substr(0, command.find_first_of(" \t"));
  for (const absl::string_view question : {"[", "[[", "test", "command", "type", "which", "grep", "!", "if", "while",
                                           "until", "for", "case", "elif", "cmp", "diff", "pgrep"})
    if (word == question) return true;
  return absl::StartsWith(command, "((");
}

// Warns about "a && b" on any line but the last: if `a` fails, the shell silently goes on with the next line.
void WarnAboutAndLists(const View& where, absl::string_view command, std::vector<std::string>& warnings) {
  const std::vector<absl::string_view> lines = absl::StrSplit(absl::StripTrailingAsciiWhitespace(command), '\n');
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const absl::string_view line = absl::StripAsciiWhitespace(lines[i]);
    const std::size_t both = line.find("&&");
    const bool plain = both != line.npos && QuoteAfter(line.substr(0, both)) == 0 && !absl::StrContains(line, "||") &&
                       !absl::EndsWith(line, "\\") && !absl::EndsWith(line, "&&") && !absl::StartsWith(line, "#") &&
                       (i == 0 || (!absl::EndsWith(lines[i - 1], "\\") && !absl::EndsWith(lines[i - 1], "&&")));
    if (!plain || IsQuestion(line) || warnings.size() >= kMostWarnings) continue;
    const absl::string_view first = absl::StripTrailingAsciiWhitespace(line.substr(0, both));
    warnings.push_back(where.Note(absl::StrCat(
        "if `", first,
        "` fails, the shell goes on with the next line, because a command before && may fail: write the parts of `",
        line, "` on lines of their own")));
  }
}

}  // namespace

absl::Status CheckInstallSteps(const View& install, const Train& train) {
  if (install.origin().lenient) return absl::OkStatus();
  for (std::size_t i = 0; i < train.install.size(); ++i)
    for (const CommandToken& token : SplitCommand(train.install[i], NamesOf(train)))
      if (token.kind == CommandToken::Kind::kPlaceholder)
        return CommandView(install, i)
            .FailSentence(absl::StrCat(
                "install steps get no parameters, as all combinations share one environment: write the value "
                "instead of ",
                token.text));
  return absl::OkStatus();
}

absl::Status CheckCommands(const View& run, const Train& train, std::vector<std::string>& warnings) {
  if (const absl::Status status = CheckSubstitution(run, train); !status.ok()) return status;
  if (run.origin().lenient) return absl::OkStatus();
  for (std::size_t i = 0; i < train.run.size(); ++i) {
    if (const absl::Status status = CheckDollars(CommandView(run, i), train.run[i], train); !status.ok()) return status;
    WarnAboutAndLists(CommandView(run, i), train.run[i], warnings);
    if (train.parameters.empty())
      WarnAboutForgottenParameters(CommandView(run, i), train.run[i], warnings);
    else
      WarnAboutValues(CommandView(run, i), train.run[i], train, warnings);
  }
  WarnAboutUnused(run, train, warnings);
  return absl::OkStatus();
}

}  // namespace riseml::spec
