#include "services/api/data/experiment_spec.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "services/api/data/config_copy.h"
#include "services/api/data/git_variables.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/resources.h"
#include "services/common/spec/names.h"

namespace riseml::api {
namespace {

constexpr double kDefaultCpus = 1, kBuildCpus = 0.5;
constexpr std::int64_t kDefaultMemoryBytes = 1'024'000'000;
// A build has the memory of the job, as steps may compile what the job runs, but not that of the largest jobs.
constexpr std::int64_t kBuildMemoryBytes = 512'000'000, kMostBuildMemoryBytes = 8'000'000'000;

void FillResources(const spec::Resources& in, v1::Resources* out) {
  if (in.cpus) out->set_cpus(*in.cpus);
  if (in.mem_mb) out->set_memory_bytes(std::llround(std::ceil(*in.mem_mb * 1e6)));
  if (in.gpus) out->set_gpus(*in.gpus);
}

}  // namespace

v1::TrainSpec ToTrainSpec(const spec::Train& train) {
  v1::TrainSpec out;
  FillResources(train.resources, out.mutable_resources());
  out.set_image(train.image);
  out.mutable_install()->Assign(train.install.begin(), train.install.end());
  out.mutable_run()->Assign(train.run.begin(), train.run.end());
  out.set_framework(train.framework);
  if (train.tensorflow) {
    out.set_framework_version(train.tensorflow->version);
    out.set_tensorboard(train.tensorflow->tensorboard);
  }
  for (const spec::Parameter& parameter : train.parameters) {
    v1::ParameterValues* values = out.add_parameters();
    values->set_name(parameter.name);
    values->mutable_values()->Assign(parameter.values.begin(), parameter.values.end());
  }
  out.mutable_env()->insert(train.env.begin(), train.env.end());
  for (const spec::Secret& secret : train.secrets) {
    v1::SecretUse* use = out.add_secrets();
    use->set_name(secret.name);
    use->set_as_file(secret.as_file);
  }
  out.set_concurrency(train.concurrency);
  if (train.retries != spec::Retries()) {
    out.mutable_retries()->set_infrastructure(train.retries.infrastructure);
    out.mutable_retries()->set_error(train.retries.error);
  }
  out.set_is_set(train.has_parameters);
  out.set_queue(train.queue);
  out.set_priority(train.priority);
  out.mutable_node_selectors()->insert(train.node_selector.begin(), train.node_selector.end());
  if (train.max_run_time) *out.mutable_max_run_time() = ToProtoDuration(*train.max_run_time);
  return out;
}

v1::Resources ResourcesOf(const v1::TrainSpec& spec, absl::string_view role) {
  v1::Resources out;
  const bool build = role == kBuildRole;
  const v1::Resources& asked = spec.resources();
  out.set_cpus(build ? kBuildCpus : asked.has_cpus() ? asked.cpus() : kDefaultCpus);
  const std::int64_t memory = AsksForMemory(asked) ? MemoryBytes(asked) : build ? 0 : kDefaultMemoryBytes;
  out.set_memory_bytes(build ? std::clamp(memory, kBuildMemoryBytes, kMostBuildMemoryBytes) : memory);
  out.set_gpus(build ? 0 : asked.gpus());
  return out;
}

bool NeedsEnvironment(const v1::TrainSpec& spec) {
  return spec.install_size() > 0 || !spec.framework().empty() || !spec.base_image().empty();
}

std::string ParametersToJson(const Parameters& parameters) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, value] : parameters) json[name] = value;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Parameters ParametersFromJson(const std::string& text) {
  Parameters out;
  const nlohmann::json json = nlohmann::json::parse(text);
  for (const auto& [name, value] : json.items()) out.emplace_back(name, value.get<std::string>());
  return out;
}

std::vector<std::string> CommandsOf(const v1::TrainSpec& spec, absl::string_view role, const Parameters& parameters) {
  if (role == kBuildRole) return {spec.install().begin(), spec.install().end()};
  std::vector<std::string> commands;
  for (const std::string& command : spec.run()) {
    // Undeclared names were refused when the experiment was created, or are literal text.
    auto substituted = spec::Substitute(command, parameters, spec::Undeclared::kKeep);
    commands.push_back(substituted.ok() ? *std::move(substituted) : command);
  }
  return commands;
}

std::map<std::string, std::string> VariablesOf(const Parameters& parameters) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : parameters) out[spec::EnvironmentName(name)] = value;
  return out;
}

std::map<std::string, std::string> FilledEnv(const v1::TrainSpec& spec, const Parameters& parameters) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : spec.env()) {
    const auto filled = spec::Substitute(value, parameters, spec::Undeclared::kKeep);
    out[name] = filled.ok() ? *filled : value;
  }
  return out;
}

std::string OutputSubpath(const ExperimentName& experiment, absl::string_view project) {
  std::string path = absl::StrCat(experiment.user, "/", project, "/", experiment.number);
  if (experiment.child > 0) absl::StrAppend(&path, "/", experiment.child);
  return path;
}

void FillTemplate(const v1::TrainSpec& spec, absl::string_view role, const ExperimentName& experiment,
                  absl::string_view project, const Parameters& parameters, absl::string_view experiment_uid,
                  absl::string_view root_uid, absl::string_view commit, internal::v1::JobTemplate* out) {
  out->set_owner(experiment.user);
  out->set_project(std::string(project));
  *out->mutable_install() = spec.install();
  out->set_framework(spec.framework());
  out->set_framework_version(spec.framework_version());
  out->set_image(spec.image());
  if (spec.rebuild()) out->set_rebuild(std::string(root_uid));
  if (spec.has_max_run_time() && role != kBuildRole) *out->mutable_max_run_time() = spec.max_run_time();
  for (const auto& [name, value] : GitVariables(spec.git())) (*out->mutable_variables())[name] = value;
  if (role == kBuildRole) return;
  for (std::string& command : CommandsOf(spec, role, parameters)) out->add_commands(std::move(command));
  for (const auto& [name, value] : FilledEnv(spec, parameters)) (*out->mutable_variables())[name] = value;
  const auto variables = VariablesOf(parameters);
  for (const auto& [name, value] : variables) (*out->mutable_environment())[name] = value;
  (*out->mutable_environment())["EXPERIMENT_ID"] = std::string(experiment_uid);
  *out->mutable_secrets() = spec.secrets();
  out->set_output_subpath(OutputSubpath(experiment, project));
  if (experiment.child > 0)
    out->set_shared_subpath(absl::StrCat(experiment.user, "/", project, "/", experiment.number, "/shared"));
  for (const v1::Input& input : spec.inputs()) {
    // Both were resolved when the experiment was created.
    const auto source = ParseExperimentName(input.experiment());
    const auto source_project = ParseProjectName(input.project());
    if (source.ok() && source_project.ok())
      (*out->mutable_input_subpaths())[input.name()] = OutputSubpath(*source, source_project->project);
  }
  out->set_config_copy(ConfigText({spec, experiment, std::string(project), std::string(commit), parameters}));
}

}  // namespace riseml::api
