#include "services/common/spec/keys.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/nearest_name.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kTopKeys[] = {"project", "train", "deploy"};
constexpr absl::string_view kTrainKeys[] = {
    "resources", "run",     "image",  "install", "framework", "tensorflow", "parameters",    "concurrency",
    "env",       "secrets", "inputs", "retries", "queue",     "priority",   "node_selector", "max_run_time"};
constexpr absl::string_view kResourcesKeys[] = {"cpus", "mem", "gpus"};
constexpr absl::string_view kRetriesKeys[] = {"infrastructure", "error"};
constexpr absl::string_view kTensorFlowKeys[] = {"version", "tensorboard", "distributed", "horovod"};
constexpr absl::string_view kDistributedKeys[] = {"ps", "worker", "master"};
constexpr absl::string_view kMasterKeys[] = {"resources"};
constexpr absl::string_view kReplicasKeys[] = {"count", "resources"};
constexpr absl::string_view kHorovodKeys[] = {"version", "workers"};
constexpr absl::string_view kHorovodWorkersKeys[] = {"count", "processes"};

// Keys of older forms of the file.
struct Legacy {
  absl::string_view key;
  absl::string_view advice;
};
constexpr Legacy kLegacy[] = {
    {"params", "write 'parameters'"},
    {"concurrent-experiments", "write 'concurrency' under 'train:'"},
    {"max-parallel-experiments", "write 'concurrency' under 'train:'"},
    {"ps-count", "write distributed: {ps: N} under 'tensorflow:'"},
    {"worker-count", "write distributed: {worker: N} under 'tensorflow:'"},
};

}  // namespace

const KnownObject kTopObject = {"", kTopKeys};
const KnownObject kTrainObject = {"train:", kTrainKeys};
const KnownObject kResourcesObject = {"train: resources:", kResourcesKeys};
const KnownObject kRetriesObject = {"train: retries:", kRetriesKeys};
const KnownObject kTensorFlowObject = {"train: tensorflow:", kTensorFlowKeys};
const KnownObject kDistributedObject = {"train: tensorflow: distributed:", kDistributedKeys};
const KnownObject kMasterObject = {"train: tensorflow: distributed: master:", kMasterKeys};
const KnownObject kReplicasObject = {"train: tensorflow: distributed: worker:", kReplicasKeys};
const KnownObject kHorovodObject = {"train: tensorflow: horovod:", kHorovodKeys};
const KnownObject kHorovodWorkersObject = {"train: tensorflow: horovod: workers:", kHorovodWorkersKeys};

std::string UnknownKeyAdvice(const KnownObject& object, absl::string_view key) {
  for (const Legacy& legacy : kLegacy)
    if (key == legacy.key) return std::string(legacy.advice);
  for (const KnownObject* other : {&kTopObject, &kTrainObject, &kResourcesObject, &kRetriesObject, &kTensorFlowObject,
                                   &kDistributedObject, &kHorovodWorkersObject}) {
    if (std::find(other->keys.begin(), other->keys.end(), key) == other->keys.end()) continue;
    return other->path.empty() ? absl::StrCat("'", key, "' belongs to the top level, beside 'train:'")
                               : absl::StrCat("'", key, "' belongs under '", other->path, "'");
  }
  const auto quoted = [](std::string* out, absl::string_view known) { absl::StrAppend(out, "'", known, "'"); };
  const std::string all = absl::StrCat("known keys here are ", absl::StrJoin(object.keys, ", ", quoted));
  const std::string nearest = NearestName(key, {object.keys.begin(), object.keys.end()});
  if (nearest.empty()) return all;
  return absl::StrCat("did you mean '", nearest, "'?");
}

}  // namespace riseml::spec
