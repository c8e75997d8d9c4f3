#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/names.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kInputsForm = "write names with the ids of experiments, inputs: {model: 26.3}";

}  // namespace

absl::StatusOr<std::vector<Input>> CheckInputs(const View& inputs) {
  std::vector<Input> out;
  if (inputs.is_null()) return out;
  if (inputs.node().kind != Kind::kMapping) return inputs.FailType("'object', 'null'", kInputsForm);
  if (inputs.node().keys.size() > kMostInputs)
    return inputs.FailSentence(absl::StrCat("at most ", kMostInputs, " inputs are allowed: leave some out"));
  for (std::size_t i = 0; i < inputs.node().keys.size(); ++i) {
    const Node& key = inputs.node().keys[i];
    const View value = inputs.Child(i);
    if (const absl::Status name = CheckInputName(key.text); !name.ok())
      return inputs.FailAt(key, absl::StrCat(PythonText(key), ": ", name.message()));
    for (const Input& other : out)
      if (InputVariable(other.name) == InputVariable(key.text))
        return inputs.FailAt(key, absl::StrCat("'", other.name, "' and '", key.text, "' set the same variable ",
                                               InputVariable(key.text), ": rename one of them"));
    if (!ParseExperimentId(value.node().text, "me").ok())
      return value.FailAt(value.node(), absl::StrCat(PythonText(value.node()),
                                                     " is not the id of an experiment: write one that `riseml status "
                                                     "-a` shows, ",
                                                     key.text, ": 26.3"));
    out.push_back({key.text, value.node().text});
  }
  std::ranges::sort(out, {}, &Input::name);
  return out;
}

}  // namespace riseml::spec
