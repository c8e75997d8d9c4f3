#include "services/common/spec/keys.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kTopKeys[] = {"project", "train", "deploy"};
constexpr absl::string_view kTrainKeys[] = {"resources",  "run",         "image", "install", "framework", "tensorflow",
                                            "parameters", "concurrency", "env",   "secrets", "inputs"};
constexpr absl::string_view kResourcesKeys[] = {"cpus", "mem", "gpus"};
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

constexpr std::size_t kLongestCompared = 40;

// Without '-' and '_', in lower case, cut to what is compared.
std::string PlainName(absl::string_view name) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(0, kLongestCompared)), {{"-", ""}, {"_", ""}});
}

}  // namespace

std::size_t NameDistance(absl::string_view a, absl::string_view b) {
  const std::string from = PlainName(a), to = PlainName(b);
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replace = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

const KnownObject kTopObject = {"", kTopKeys};
const KnownObject kTrainObject = {"train:", kTrainKeys};
const KnownObject kResourcesObject = {"train: resources:", kResourcesKeys};
const KnownObject kTensorFlowObject = {"train: tensorflow:", kTensorFlowKeys};
const KnownObject kDistributedObject = {"train: tensorflow: distributed:", kDistributedKeys};
const KnownObject kMasterObject = {"train: tensorflow: distributed: master:", kMasterKeys};
const KnownObject kReplicasObject = {"train: tensorflow: distributed: worker:", kReplicasKeys};
const KnownObject kHorovodObject = {"train: tensorflow: horovod:", kHorovodKeys};
const KnownObject kHorovodWorkersObject = {"train: tensorflow: horovod: workers:", kHorovodWorkersKeys};

std::string UnknownKeyAdvice(const KnownObject& object, absl::string_view key) {
  for (const Legacy& legacy : kLegacy)
    if (key == legacy.key) return std::string(legacy.advice);
  for (const KnownObject* other : {&kTopObject, &kTrainObject, &kResourcesObject, &kTensorFlowObject,
                                   &kDistributedObject, &kHorovodWorkersObject}) {
    if (std::find(other->keys.begin(), other->keys.end(), key) == other->keys.end()) continue;
    return other->path.empty() ? absl::StrCat("'", key, "' belongs to the top level, beside 'train:'")
                               : absl::StrCat("'", key, "' belongs under '", other->path, "'");
  }
  const auto quoted = [](std::string* out, absl::string_view known) { absl::StrAppend(out, "'", known, "'"); };
  const std::string all = absl::StrCat("known keys here are ", absl::StrJoin(object.keys, ", ", quoted));
  if (key.size() > kLongestCompared) return all;
  const absl::string_view nearest = *std::min_element(
      object.keys.begin(), object.keys.end(),
      [key](absl::string_view a, absl::string_view b) { return NameDistance(key, a) < NameDistance(key, b); });
  if (NameDistance(key, nearest) > std::clamp<std::size_t>(nearest.size() / 2, 1, 3)) return all;
  return absl::StrCat("did you mean '", nearest, "'?");
}

}  // namespace riseml::spec
