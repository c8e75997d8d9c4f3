#include "cli/render/spec_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/logtext/invisible.h"
#include "services/common/spec/grid.h"

namespace riseml::cli {
namespace {

using Object = nlohmann::ordered_json;

template <class Value>
Object OrNull(const std::optional<Value>& value) {
  return value ? Object(*value) : Object(nullptr);
}

Object ToJson(const spec::Resources& resources) {
  return {{"cpus", OrNull(resources.cpus)}, {"mem", OrNull(resources.mem_mb)}, {"gpus", OrNull(resources.gpus)}};
}

Object VersionJson(const std::string& version) { return version.empty() ? Object(nullptr) : Object(version); }

Object ToJson(const spec::TensorFlow& tensorflow) {
  Object out = {{"version", VersionJson(tensorflow.version)},
                {"tensorboard", tensorflow.tensorboard},
                {"distributed", nullptr},
                {"horovod", nullptr}};
  if (tensorflow.distributed) {
    const spec::Distributed& parts = *tensorflow.distributed;
    out["distributed"] = {{"master", {{"resources", ToJson(parts.master)}}},
                          {"worker", {{"count", parts.worker_count}, {"resources", ToJson(parts.worker)}}},
                          {"ps", {{"count", parts.ps_count}, {"resources", ToJson(parts.ps)}}}};
  }
  if (tensorflow.horovod) {
    const spec::Horovod& horovod = *tensorflow.horovod;
    out["horovod"] = {{"version", VersionJson(horovod.version)},
                      {"workers", {{"count", horovod.worker_count}, {"processes", OrNull(horovod.processes)}}}};
  }
  return out;
}

Object ToJson(const spec::Train& train) {
  Object out = {
      {"resources", ToJson(train.resources)}, {"image", train.image}, {"install", train.install}, {"run", train.run}};
  if (train.tensorflow) {
    out["framework"] = train.framework;
    out["tensorflow"] = ToJson(*train.tensorflow);
  }
  if (train.has_parameters) {
    Object parameters = Object::object();
    for (const spec::Parameter& parameter : train.parameters) parameters[parameter.name] = parameter.values;
    out["parameters"] = parameters;
  }
  if (!train.env.empty()) out["env"] = train.env;
  for (const spec::Secret& secret : train.secrets)
    out["secrets"].push_back(secret.as_file ? Object{{secret.name, "file"}} : Object(secret.name));
  for (const spec::Input& input : train.inputs) out["inputs"][input.name] = input.experiment;
  out["concurrency"] = train.concurrency;
  if (!train.queue.empty()) out["queue"] = train.queue;
  if (train.priority != 0) out["priority"] = train.priority;
  if (!train.node_selector.empty()) out["node_selector"] = train.node_selector;
  if (train.max_run_time) out["max_run_time"] = absl::FormatDuration(*train.max_run_time);
  if (train.retries != spec::Retries())
    out["retries"] = {{"infrastructure", train.retries.infrastructure}, {"error", train.retries.error}};
  return out;
}

std::string ResourcesText(const spec::Resources& resources) {
  const int gpus = resources.gpus.value_or(0);
  return absl::StrCat(resources.cpus ? absl::StrFormat("%g", *resources.cpus) : "default", " CPU",
                      resources.cpus == 1.0 ? "" : "s", ", ",
                      resources.mem_mb ? absl::StrFormat("%g MB", *resources.mem_mb) : "default", " memory, ", gpus,
                      " GPU", gpus == 1 ? "" : "s");
}

}  // namespace

std::string PlanText(const spec::Spec& spec) {
  if (!spec.train) return absl::StrCat("Project ", spec.project, ": nothing to train");
  const spec::Train& train = *spec.train;
  const std::string resources = ResourcesText(train.resources);
  if (!train.has_parameters) return absl::StrCat("Project ", spec.project, ": 1 experiment with ", resources);
  const std::int64_t children = spec::CombinationCount(train);
  const std::int64_t together = std::min<std::int64_t>(children, train.concurrency);
  return absl::StrCat("Project ", spec.project, ": set of ", children, " experiment", children == 1 ? "" : "s", ", ",
                      together, " at a time, each with ", resources);
}

std::string NormalJson(const spec::Spec& spec, int indent) {
  Object out = {{"project", spec.project}};
  if (spec.train) out["train"] = ToJson(*spec.train);
  // The parser accepts only valid UTF-8. `replace` still keeps the function from throwing.
  // An invisible character shown by its number is the same text to JSON.
  return logtext::ShowInvisible(out.dump(indent, ' ', false, Object::error_handler_t::replace));
}

}  // namespace riseml::cli
