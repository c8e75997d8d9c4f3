#include "services/common/spec/image.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace riseml::spec {
namespace {

bool WantsGpu(const Resources& resources) { return resources.gpus.value_or(0) > 0; }

std::string OrLatest(const std::string& version) { return version.empty() ? "latest" : version; }

}  // namespace

std::string DerivedImage(const Train& train) {
  const TensorFlow& tensorflow = *train.tensorflow;
  std::string image = absl::StrCat("tensorflow/tensorflow:", OrLatest(tensorflow.version));
  if (tensorflow.horovod) {
    image = absl::StrCat("riseml/tensorflow:", OrLatest(tensorflow.version), "-horovod-",
                         OrLatest(tensorflow.horovod->version));
  }
  bool gpu = WantsGpu(train.resources);
  if (const std::optional<Distributed>& parts = tensorflow.distributed)
    gpu = gpu || WantsGpu(parts->master) || WantsGpu(parts->worker) || WantsGpu(parts->ps);
  if (gpu && !absl::EndsWith(image, "-gpu")) image += "-gpu";
  return image;
}

}  // namespace riseml::spec
