#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/names.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kMostVariables = 500;
constexpr absl::string_view kForm = "write names with their values, env: {WANDB_MODE: offline}";

// The value of the variable before substitution; every placeholder in it is declared.
absl::StatusOr<std::string> ValueOf(const View& value, const Combination& names) {
  const Node& node = value.node();
  if (node.kind == Kind::kNull)
    return value.FailForms("it has no value: write one, NAME: VALUE, or give it with riseml train --env NAME");
  if (node.kind == Kind::kSequence || node.kind == Kind::kMapping)
    return value.FailType("'string', 'number', 'boolean'", kForm);
  std::string text = node.kind == Kind::kBoolean ? PythonText(node) : node.text;
  if (text.find('\0') != std::string::npos) return value.FailForms("it has a NUL character: leave it out");
  if (value.origin().lenient) return text;
  if (const auto filled = Substitute(text, names); !filled.ok()) return value.FailSentence(filled.status().message());
  return text;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> CheckEnv(const View& env, const Train& train) {
  std::map<std::string, std::string> out;
  if (env.is_null()) return out;
  if (env.node().kind != Kind::kMapping) return env.FailType("'object', 'null'", kForm);
  if (env.node().keys.size() > kMostVariables)
    return env.FailSentence(absl::StrCat("at most ", kMostVariables, " variables are allowed: leave some out"));
  Combination names;
  for (const Parameter& parameter : train.parameters) names.emplace_back(parameter.name, "");
  for (std::size_t i = 0; i < env.node().keys.size(); ++i) {
    const Node& key = env.node().keys[i];
    if (const absl::Status name = CheckVariableName(key.text); !name.ok())
      return env.FailAt(key, absl::StrCat(PythonText(key), " cannot be a variable: ", name.message()));
    for (const Parameter& parameter : train.parameters) {
      if (EnvironmentName(parameter.name) != key.text) continue;
      return env.FailAt(key, absl::StrCat("the parameter '", parameter.name, "' sets the variable ", key.text,
                                          " already: rename one of them"));
    }
    RISEML_ASSIGN_OR_RETURN(out[key.text], ValueOf(env.Child(i), names));
  }
  return out;
}

absl::StatusOr<std::vector<Secret>> CheckSecrets(const View& secrets, const Train& train) {
  constexpr absl::string_view kInstead =
      "write the names of secrets, secrets: [WANDB_API_KEY], or [NAME: file] for a file whose path is in the variable";
  std::vector<Secret> out;
  if (secrets.is_null()) return out;
  if (secrets.node().kind != Kind::kSequence) return secrets.FailType("'array', 'null'", kInstead);
  if (secrets.node().children.size() > kMostVariables)
    return secrets.FailSentence(absl::StrCat("at most ", kMostVariables, " secrets are allowed: leave some out"));
  for (const Node& item : secrets.node().children) {
    const bool as_file = item.kind == Kind::kMapping && item.keys.size() == 1 && item.children[0].text == "file";
    if (item.kind != Kind::kText && !as_file)
      return secrets.FailAt(item, absl::StrCat(PythonText(item), " is not a secret: ", kInstead));
    const std::string& name = as_file ? item.keys[0].text : item.text;
    if (const absl::Status status = CheckVariableName(name); !status.ok())
      return secrets.FailAt(item, absl::StrCat(PythonText(item), " cannot be a variable: ", status.message()));
    const auto taken = [&](const Parameter& parameter) { return EnvironmentName(parameter.name) == name; };
    const auto twice = [&](const Secret& secret) { return secret.name == name; };
    if (train.env.contains(name) || std::ranges::any_of(train.parameters, taken) || std::ranges::any_of(out, twice))
      return secrets.FailAt(item, absl::StrCat("the variable ", name, " is set twice: leave out one of them"));
    out.push_back({name, as_file});
  }
  std::ranges::sort(out, {}, &Secret::name);
  return out;
}

}  // namespace riseml::spec
