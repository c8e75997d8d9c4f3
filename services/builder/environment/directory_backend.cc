#include "services/builder/environment/directory_backend.h"

#include <utility>

#include "services/builder/environment/explain.h"
#include "services/builder/environment/plan.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {

using internal::v1::CacheExplanation;
using internal::v1::Environment;

DirectoryBackend::DirectoryBackend(Installation installation)
    : installation_(std::move(installation)),
      interpreters_(installation_.python, installation_.python_version, installation_.interpreter_dirs),
      stored_(installation_.environments_dir),
      history_(installation_.environments_dir) {}

absl::Status DirectoryBackend::Sweep(absl::Time now) {
  history_.Forget(now);
  return stored_.Sweep();
}

Inputs DirectoryBackend::InputsOf(const WantedEnvironment& wanted, const Interpreter& interpreter) const {
  Inputs inputs;
  inputs.owner_uid = wanted.owner_uid;
  inputs.place = installation_.environments_dir;
  inputs.python = interpreter.path;
  inputs.python_version = interpreter.version;
  inputs.python_note = interpreter.note;
  inputs.install = wanted.install;
  inputs.framework = wanted.framework;
  inputs.framework_version = wanted.framework_version;
  inputs.code = wanted.code;
  inputs.prefix_digests = wanted.prefix_digests;
  inputs.client_dir = installation_.client_dir;
  inputs.client_digest = installation_.client_digest;
  return inputs;
}

absl::StatusOr<Environment> DirectoryBackend::Resolve(const WantedEnvironment& wanted) {
  if (wanted.install.empty() && wanted.framework.empty()) {
    Environment bare;
    bare.set_state(Environment::NOT_NEEDED);
    return bare;
  }
  RISEML_ASSIGN_OR_RETURN(const Interpreter interpreter, interpreters_.Choose(wanted.image));
  Inputs inputs = InputsOf(wanted, interpreter);
  const std::string base = KeyOf(inputs);
  inputs.rebuild = wanted.rebuild;

  Environment environment;
  environment.set_key(inputs.rebuild.empty() ? stored_.NewestOf(base) : KeyOf(inputs));
  environment.mutable_directory()->set_path(stored_.PathOf(wanted.owner_uid, environment.key()));
  if (!interpreter.prefix.empty()) environment.mutable_directory()->add_shown_paths(interpreter.prefix);
  if (!stored_.IsComplete(environment.key())) {
    FillMissing(wanted, std::move(inputs), environment);
    return environment;
  }
  if (!inputs.rebuild.empty()) RISEML_RETURN_IF_ERROR(stored_.SetNewest(base, environment.key()));
  FillReady(wanted, inputs, environment);
  return environment;
}

void DirectoryBackend::FillReady(const WantedEnvironment& wanted, const Inputs& inputs, Environment& environment) {
  environment.set_state(Environment::READY);
  environment.set_digest(stored_.DigestOf(environment.key()));
  environment.mutable_explanation()->set_decision(CacheExplanation::REUSED);
  history_.Note({wanted.owner_uid, wanted.project_uid}, environment.key(), [&] {
    internal::v1::KnownEnvironment known;
    for (internal::v1::DecidingInput& input : DecidingInputsOf(inputs)) *known.add_inputs() = std::move(input);
    known.set_built_by(stored_.BuilderOf(environment.key()));
    return known;
  });
}

void DirectoryBackend::FillMissing(const WantedEnvironment& wanted, Inputs inputs, Environment& environment) {
  environment.set_state(Environment::MISSING);
  const History::Project project{wanted.owner_uid, wanted.project_uid};
  *environment.mutable_explanation() = ExplainBuild(DecidingInputsOf(inputs), !inputs.rebuild.empty(),
                                                    history_.Find(project, environment.key()), history_.Last(project));
  history_.NoteMissing(project, environment.key());
  inputs.built_because = environment.explanation().reason();
  for (Step& step : StepsOf(inputs, environment.key(), environment.directory().path())) {
    internal::v1::BuildStep* added = environment.mutable_plan()->add_steps();
    added->set_title(std::move(step.title));
    added->set_command(std::move(step.command));
    added->set_prefix_key(std::move(step.prefix_key));
    added->set_reuse_command(std::move(step.reuse_command));
    added->set_anew(!inputs.rebuild.empty());
    added->set_explains_failure(step.explains_failure);
  }
}

}  // namespace riseml::builder
