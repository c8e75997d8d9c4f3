#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/reserved_variables.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/names.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kForms = "write a value, a list of values, or {range: {min: 1, max: 3, step: 1}}";

bool IsNumber(const Node& node) { return node.kind == Kind::kInteger || node.kind == Kind::kNumber; }

// Shortest text close enough to `value`: sums of steps have errors in their last digits (0.30000000000000004).
std::string Print(double value, double scale) {
  const double tolerance = 1e-14 * scale;
  if (std::abs(value) <= tolerance) return "0";
  for (int digits = 1; digits < 17; ++digits) {
    const std::string text = absl::StrFormat("%.*g", digits, value);
    double back = 0;
    if (absl::SimpleAtod(text, &back) && std::abs(back - value) <= tolerance) return text;
  }
  return absl::StrFormat("%.17g", value);
}

struct Bound {
  View view;
  double value;
};

absl::StatusOr<Bound> RangeBound(const View& range, absl::string_view key) {
  const absl::string_view instead = "write three numbers, {range: {min: 1, max: 3, step: 1}}";
  RISEML_ASSIGN_OR_RETURN(const View view, range.Require(key, instead));
  if (!IsNumber(view.node())) return view.FailType("'number'", instead);
  const double value = NumberOf(view.node());
  if (!std::isfinite(value))
    return view.Fail(absl::StrCat(PythonText(view.node()), " is not a finite number: ", instead));
  return Bound{view, value};
}

// Values min + i * step by counting, so that no error adds up and max is reached.
absl::StatusOr<std::vector<std::string>> ExpandRange(const View& range) {
  if (range.node().kind != Kind::kMapping)
    return range.FailType("'object'", "write three numbers, {range: {min: 1, max: 3, step: 1}}");
  RISEML_ASSIGN_OR_RETURN(const Bound min, RangeBound(range, "min"));
  RISEML_ASSIGN_OR_RETURN(const Bound max, RangeBound(range, "max"));
  RISEML_ASSIGN_OR_RETURN(const Bound step, RangeBound(range, "step"));
  if (step.value <= 0) {
    return step.view.FailSentence(
        absl::StrCat("the step of a range must be greater than 0, not ", step.view.node().text, ": write step: 1"));
  }
  if (min.value > max.value) {
    return min.view.FailSentence(absl::StrCat("the min of a range must not be greater than its max: ",
                                              min.view.node().text, " > ", max.view.node().text, ", swap the two"));
  }
  const double steps = std::floor((max.value - min.value) / step.value + 1e-9);
  if (!(steps < static_cast<double>(kMostCombinations))) {
    return range.FailSentence(absl::StrCat("the parameters span more than ", kMostCombinations,
                                           " combinations: write a larger step or a smaller range"));
  }
  const int count = static_cast<int>(steps) + 1;
  std::vector<std::string> values;
  if (min.view.node().kind == Kind::kInteger && step.view.node().kind == Kind::kInteger) {
    const std::optional<std::int64_t> first = IntegerOf(min.view.node());
    const std::optional<std::int64_t> by = IntegerOf(step.view.node());
    std::int64_t last = 0;
    if (!first || !by || __builtin_mul_overflow(*by, static_cast<std::int64_t>(count - 1), &last) ||
        __builtin_add_overflow(last, *first, &last)) {
      return range.FailSentence(
          "the range has values that do not fit into 64-bit integers: write smaller numbers, or a decimal point");
    }
    for (int i = 0; i < count; ++i) values.push_back(absl::StrCat(*first + i * *by));
    return values;
  }
  const double scale = std::max(std::abs(min.value), std::abs(max.value));
  values.push_back(min.view.node().text);
  for (int i = 1; i < count; ++i) values.push_back(Print(min.value + i * step.value, scale));
  return values;
}

// Text of a value in a command: scalars as written, but booleans and null as Python prints them; lists and maps as
// JSON.
std::string ValueText(const Node& value) {
  if (value.kind == Kind::kSequence || value.kind == Kind::kMapping) return JsonText(value);
  const bool word = value.kind == Kind::kBoolean || value.kind == Kind::kNull;
  return word ? PythonText(value) : value.text;
}

absl::StatusOr<std::vector<std::string>> ListValues(const View& view) {
  const Node& list = view.node();
  if (list.children.empty()) {
    return view.Fail(absl::StrCat("[] is an empty list: ", "write at least one value, or remove the parameter"));
  }
  std::vector<std::string> values;
  for (const Node& value : list.children) {
    const bool range = value.kind == Kind::kMapping && value.keys.size() == 1 && value.keys[0].text == "range";
    if (range) return view.FailAt(value, absl::StrCat("a range cannot be one of several values: ", kForms));
    values.push_back(ValueText(value));
  }
  return values;
}

absl::StatusOr<std::vector<std::string>> Values(const View& view) {
  switch (view.node().kind) {
    case Kind::kSequence:
      return ListValues(view);
    case Kind::kMapping:
      if (const auto range = view.Find("range")) return ExpandRange(*range);
      return view.FailForms(kForms);
    default:
      return std::vector<std::string>{ValueText(view.node())};
  }
}

}  // namespace

absl::StatusOr<std::vector<Parameter>> CheckParameters(const View& view, std::vector<std::string>& warnings) {
  std::vector<Parameter> parameters;
  if (view.is_null()) return parameters;
  if (view.node().kind != Kind::kMapping)
    return view.FailType("'object', 'null'", "write names with their values, parameters: {lr: [0.1, 0.01]}");
  std::map<std::string, std::string> variables;
  for (std::size_t i = 0; i < view.node().keys.size(); ++i) {
    const Node& key = view.node().keys[i];
    if (key.kind != Kind::kText)
      return view.FailAt(key, absl::StrCat("the name ", PythonText(key), " is not of type 'string': write a name"));
    if (const absl::Status name = CheckParameterName(key.text); !name.ok())
      return view.FailAt(key, absl::StrCat(PythonText(key), " cannot be a parameter: ", name.message()));
    const View value = view.Child(i);
    const std::string variable = EnvironmentName(key.text);
    const auto [other, added] = variables.emplace(variable, key.text);
    if (!added) {
      warnings.push_back(
          value.Note(absl::StrCat("the parameters '", other->second, "' and '", key.text,
                                  "' share the environment variable ", variable, ": rely on the placeholders only")));
    }
    if (BelongsToJob(variable)) {
      warnings.push_back(value.Note(absl::StrCat("the environment variable ", variable, " belongs to the job: write {{",
                                                 key.text, "}} where the parameter is meant")));
    }
    RISEML_ASSIGN_OR_RETURN(std::vector<std::string> values, Values(value));
    parameters.push_back({key.text, std::move(values)});
  }
  std::sort(parameters.begin(), parameters.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return parameters;
}

}  // namespace riseml::spec
