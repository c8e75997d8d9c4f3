#include "services/common/spec/features.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/base/status.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kInputs = "/inputs/";

}  // namespace

absl::Status CheckRunnable(const Train& train) {
  if (!train.tensorflow) return absl::OkStatus();
  if (train.tensorflow->distributed) {
    return Error(Reason::kUnsupported,
                 "'distributed' is not yet in this version: remove it from 'tensorflow:' to train in one process");
  }
  if (train.tensorflow->horovod) {
    return Error(Reason::kUnsupported,
                 "'horovod' is not yet in this version: remove it from 'tensorflow:' to train in one process");
  }
  return absl::OkStatus();
}

std::vector<std::string> Notices(const Train& train, std::optional<bool> containers) {
  std::vector<std::string> notices;
  if (!containers.has_value()) {
    if (train.image_given)
      notices.push_back(absl::StrCat("image ", train.image,
                                     ": jobs in containers run in it; jobs that are processes get at most its version "
                                     "of Python"));
  } else if (*containers) {
    notices.push_back(train.image_given ? absl::StrCat("jobs run in containers of the image ", train.image)
                                        : "jobs run in containers of the installation's default image");
  } else if (train.image_given) {
    const bool names_version = absl::StrContains(train.image, "python:");
    notices.push_back(absl::StrCat("image ", train.image,
                                   names_version ? " decides only the version of Python here" : " is not used here",
                                   ": jobs run as processes in a Python environment"));
  }
  if (train.tensorflow && train.tensorflow->tensorboard) {
    notices.push_back(
        "tensorboard: no TensorBoard job is started in this version; write tensorboard: false to silence this");
  }
  return notices;
}

std::vector<std::string> MissingDirectories(const Train& train, const std::set<std::string>& inputs) {
  std::set<std::string> known = inputs, missing;
  for (const Input& input : train.inputs) known.insert(input.name);
  bool shared = false;
  for (const absl::string_view command : train.run) {
    for (std::size_t at = command.find(kInputs); at != command.npos; at = command.find(kInputs, at + 1)) {
      const absl::string_view rest = command.substr(at + kInputs.size());
      const std::string name(
          rest.substr(0, std::ranges::find_if_not(rest, [](char c) { return IsNameCharacter(c); }) - rest.begin()));
      const bool begins = at == 0 || !(IsNameCharacter(command[at - 1]) || command[at - 1] == '.');
      if (begins && !name.empty() && !known.contains(name)) missing.insert(name);
    }
    const std::size_t at = command.find("/shared/");
    shared = shared || (at != command.npos && (at == 0 || absl::StrContains(" '\"=:\n", command[at - 1])));
  }
  std::vector<std::string> out;
  for (const std::string& name : missing)
    out.push_back(absl::StrCat("the commands name /inputs/", name, ", but there is no input ", name,
                               ": write inputs: {", name, ": ID} in the file, or --input ", name, "=ID"));
  if (shared && !train.has_parameters)
    out.push_back("the commands name /shared, which only children of a set have: write to $OUTPUT_DIR");
  return out;
}

}  // namespace riseml::spec
