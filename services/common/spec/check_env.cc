#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/check.h"
#include "services/common/spec/grid.h"

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

}  // namespace riseml::spec
