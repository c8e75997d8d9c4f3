#include "services/common/spec/grid.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/status.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

// Linux takes no longer argument (MAX_ARG_STRLEN), and a command is the one argument of its shell.
constexpr std::size_t kLongestCommand = 128 * 1024 - 1;

const std::string* ValueOf(const Combination& parameters, absl::string_view name) {
  for (const auto& [key, value] : parameters)
    if (key == name) return &value;
  return nullptr;
}

std::string UnknownPlaceholder(const CommandToken& token, const std::vector<std::string>& names) {
  const std::string meant = MeantParameter(token.name, names);
  std::string out = absl::StrCat("the placeholder ", token.text, " names no parameter");
  absl::StrAppend(&out, meant.empty() ? ": " : absl::StrCat("; did you mean {{", meant, "}}? Otherwise "));
  if (std::all_of(token.name.begin(), token.name.end(), IsNameCharacter))
    absl::StrAppend(&out, "declare '", token.name, "' under 'parameters:', or ");
  return absl::StrCat(out, "write {{", token.text, "}} where the braces are meant as text");
}

}  // namespace

std::int64_t CombinationCount(const Train& train) {
  std::int64_t count = 1;
  for (const Parameter& parameter : train.parameters) {
    const std::int64_t values = static_cast<std::int64_t>(std::min<std::size_t>(parameter.values.size(), 1 << 30));
    count = std::min(count * values, kMostCombinations + 1);
  }
  return count;
}

std::vector<Combination> Combinations(const Train& train) {
  std::vector<Combination> all(1);
  for (const Parameter& parameter : train.parameters) {
    std::vector<Combination> longer;
    longer.reserve(all.size() * parameter.values.size());
    for (const Combination& front : all) {
      for (const std::string& value : parameter.values) {
        longer.push_back(front);
        longer.back().emplace_back(parameter.name, value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

absl::StatusOr<std::string> Substitute(absl::string_view command, const Combination& parameters,
                                       Undeclared undeclared) {
  std::vector<std::string> names;
  for (const auto& [name, value] : parameters) names.push_back(name);
  std::string out;
  if (names.empty()) out = std::string(command);
  for (const CommandToken& token : names.empty() ? std::vector<CommandToken>() : SplitCommand(command, names)) {
    if (token.kind == CommandToken::Kind::kUnknown && undeclared == Undeclared::kRefuse)
      return Error(Reason::kInvalidSpec, UnknownPlaceholder(token, names));
    out += token.kind == CommandToken::Kind::kPlaceholder ? *ValueOf(parameters, token.name) : token.text;
    if (out.size() > kLongestCommand) break;
  }
  if (out.size() <= kLongestCommand) return out;
  return Error(Reason::kInvalidSpec, absl::StrCat("a command is longer than ", kLongestCommand,
                                                  " bytes with its parameters filled in: move it into a script"));
}

}  // namespace riseml::spec
