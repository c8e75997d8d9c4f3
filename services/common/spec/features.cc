#include "services/common/spec/features.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::spec {

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

std::vector<std::string> Notices(const Train& train) {
  std::vector<std::string> notices;
  if (train.image_given) {
    const bool names_version = absl::StrContains(train.image, "python:");
    notices.push_back(absl::StrCat("image ", train.image, " is not used here",
                                   names_version ? " but for its version" : "",
                                   ": jobs run as processes in a Python environment"));
  }
  if (train.tensorflow && train.tensorflow->tensorboard) {
    notices.push_back(
        "tensorboard: no TensorBoard job is started in this version; write tensorboard: false to silence this");
  }
  return notices;
}

}  // namespace riseml::spec
