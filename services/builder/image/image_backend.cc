#include "services/builder/image/image_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/builder/environment/explain.h"
#include "services/builder/environment/stored.h"
#include "services/builder/image/registry_access.h"
#include "services/common/base/id.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::Environment;

constexpr absl::Duration kPullTime = absl::Hours(1);
constexpr absl::Duration kBuildTime = absl::Hours(24);
// A job's image has one layer for each step, one for the files that the steps read, and at least one of the code.
constexpr std::size_t kLayersBesides = 2;

std::string DefaultImage(const WantedEnvironment& wanted, const std::string& default_image) {
  if (wanted.framework.empty()) return default_image;
  const std::string version = wanted.framework_version.empty() ? "latest" : wanted.framework_version;
  return absl::StrCat("docker.io/", wanted.framework, "/", wanted.framework, ":", version);
}

}  // namespace

ImageBackend::ImageBackend(ImageSettings settings, Parts parts)
    : settings_(std::move(settings)), parts_(std::move(parts)), history_(settings_.environments_dir) {}

// A job keeps the base that its experiment had at its creation, whatever the name means today.
absl::StatusOr<oci::ImageReference> ImageBackend::BaseOf(const WantedEnvironment& wanted) {
  if (!wanted.base_image.empty()) return oci::ParseImageReference(wanted.base_image);
  const std::string name = wanted.image.empty() ? DefaultImage(wanted, settings_.default_image) : wanted.image;
  RISEML_ASSIGN_OR_RETURN(const oci::ImageReference named, oci::ParseImageReference(name));
  if (IsOwn(named) && AllowedToUser(wanted.owner_uid, false, {{named.repository, {"pull"}}}).empty())
    return NotFound(absl::StrCat("image ", name, " of this user"));
  std::optional<oci::Credential> credential;
  if (!IsOwn(named)) {
    RISEML_ASSIGN_OR_RETURN(credential, parts_.find_credential(wanted.owner_uid, named.registry));
  }
  RISEML_ASSIGN_OR_RETURN(BaseImage base, parts_.bases.Resolve(name, credential ? &*credential : nullptr));
  const std::size_t layers = base.layers + wanted.install.size() + kLayersBesides;
  if (layers > oci::kMaxLayers)
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("image ", name, " has ", base.layers, " layers; with those of ", wanted.install.size(),
                              " install steps and of the code there are at least ", layers, ", and Linux can stack ",
                              oci::kMaxLayers, ": use an image with fewer layers",
                              wanted.install.size() > 1 ? ", or write several commands in one step" : ""));
  return std::move(base.reference);
}

absl::StatusOr<Environment> ImageBackend::Resolve(const WantedEnvironment& wanted) {
  ImageInputs inputs;
  RISEML_ASSIGN_OR_RETURN(inputs.base, BaseOf(wanted));
  inputs.owner_uid = wanted.owner_uid;
  inputs.install = wanted.install;
  inputs.code = wanted.code;
  const std::string base_key = KeyOf(inputs);
  inputs.rebuild = wanted.rebuild;

  Environment environment;
  environment.set_base_image(inputs.base.ToString());
  if (inputs.rebuild.empty()) {
    RISEML_ASSIGN_OR_RETURN(*environment.mutable_key(), parts_.environments.NewestOf(wanted.owner_uid, base_key));
  } else {
    environment.set_key(KeyOf(inputs));
  }
  const std::string name =
      absl::StrCat(parts_.environments.host(), "/", EnvironmentImages::RepositoryOf(wanted.owner_uid));
  const absl::StatusOr<oci::Descriptor> image = parts_.environments.Find(wanted.owner_uid, environment.key());
  if (absl::IsNotFound(image.status())) {
    environment.mutable_image()->set_reference(absl::StrCat(name, ":", environment.key()));
    RISEML_RETURN_IF_ERROR(FillMissing(wanted, std::move(inputs), environment));
    return environment;
  }
  RISEML_RETURN_IF_ERROR(image.status());
  if (!inputs.rebuild.empty())
    RISEML_RETURN_IF_ERROR(parts_.environments.SetNewest(wanted.owner_uid, base_key, environment.key()));
  environment.set_state(Environment::READY);
  environment.set_digest(image->digest);
  environment.mutable_image()->set_reference(absl::StrCat(name, "@", image->digest));
  environment.mutable_explanation()->set_decision(CacheExplanation::REUSED);
  history_.Note({wanted.owner_uid, wanted.project_uid}, environment.key(), [&] {
    internal::v1::KnownEnvironment known;
    for (internal::v1::DecidingInput& input : DecidingInputsOf(inputs)) *known.add_inputs() = std::move(input);
    return known;
  });
  return environment;
}

absl::Status ImageBackend::FillMissing(const WantedEnvironment& wanted, ImageInputs inputs, Environment& environment) {
  environment.set_state(Environment::MISSING);
  const History::Project project{wanted.owner_uid, wanted.project_uid};
  *environment.mutable_explanation() = ExplainBuild(DecidingInputsOf(inputs), !inputs.rebuild.empty(),
                                                    history_.Find(project, environment.key()), history_.Last(project));
  history_.NoteMissing(project, environment.key());
  inputs.built_because = environment.explanation().reason();
  std::vector<RepositoryAccess> access = {{EnvironmentImages::RepositoryOf(wanted.owner_uid), {"pull", "push"}}};
  if (IsOwn(inputs.base)) access.push_back({inputs.base.repository, {"pull"}});
  RISEML_ASSIGN_OR_RETURN(const std::string password, parts_.tokens.Make(kBuildUser, access, kBuildTime));
  ImageTarget target{.reference = environment.image().reference(),
                     .plain_http = settings_.plain_http,
                     .base_plain_http = settings_.plain_http,
                     .credentials = {{parts_.environments.host(), {kBuildUser, password}}},
                     .steps_without_network = settings_.steps_without_network};
  if (!IsOwn(inputs.base)) {
    target.base_plain_http = settings_.policy.without_tls.contains(inputs.base.registry);
    RISEML_ASSIGN_OR_RETURN(const std::optional<oci::Credential> credential,
                            parts_.find_credential(wanted.owner_uid, inputs.base.registry));
    if (credential) target.credentials[inputs.base.registry] = *credential;
  }
  for (Step& step : StepsOf(inputs, environment.key(), target)) {
    internal::v1::BuildStep* const added = environment.mutable_plan()->add_steps();
    added->set_title(std::move(step.title));
    added->set_command(std::move(step.command));
    added->set_explains_failure(step.explains_failure);
  }
  return absl::OkStatus();
}

absl::StatusOr<internal::v1::ContainerImage> ImageBackend::MakeImage(const internal::v1::MakeImageRequest& request) {
  if (!IsUuid(request.owner_uid()) || !IsUuid(request.project_uid()) || !IsKey(request.environment_key()) ||
      !IsHexId(request.commit()))
    return Error(Reason::kInvalidArgument,
                 "an image needs owner_uid and project_uid, UUIDs, environment_key, 64 hex digits, and commit, 40");
  RISEML_ASSIGN_OR_RETURN(const oci::Descriptor environment,
                          parts_.environments.Find(request.owner_uid(), request.environment_key()));
  const std::string repository = absl::StrCat(request.owner_uid(), "/", request.project_uid());
  RISEML_ASSIGN_OR_RETURN(
      const oci::Descriptor made,
      parts_.maker.Make({.base_repository = EnvironmentImages::RepositoryOf(request.owner_uid()),
                         .base_digest = environment.digest,
                         .repository = repository,
                         .code = {.project_uid = request.project_uid(), .commit = request.commit()}}));
  internal::v1::ContainerImage image;
  image.set_reference(absl::StrCat(parts_.environments.host(), "/", repository, "@", made.digest));
  image.set_username(kNodeUser);
  RISEML_ASSIGN_OR_RETURN(*image.mutable_password(),
                          parts_.tokens.Make(kNodeUser, {{repository, {"pull"}}}, kPullTime));
  image.set_plain_http(settings_.plain_http);
  return image;
}

}  // namespace riseml::builder
