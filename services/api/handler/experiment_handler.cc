#include "services/api/handler/experiment_handler.h"

#include "absl/strings/str_cat.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/records.h"
#include "services/api/experiment/inputs.h"
#include "services/api/watch/watchers.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"
#include "services/common/spec/features.h"
#include "services/common/spec/names.h"
#include "services/common/spec/parse.h"

namespace riseml::api {
namespace {

// Long enough for a running builder; a submit must not wait for one that is down.
constexpr absl::Duration kBuilderTimeout = absl::Milliseconds(100);
// The same when builder has to ask the registry of the base image.
constexpr absl::Duration kRegistryTimeout = absl::Seconds(20);

constexpr std::size_t kLongestGitText = 1024;
constexpr int kMostVariables = 500;
constexpr std::size_t kLargestVariables = 64 << 10;

absl::Status CheckEnv(const v1::CreateExperimentRequest& request) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : request.env()) {
    if (const absl::Status status = spec::CheckVariableName(name); !status.ok())
      return InvalidField("env", absl::StrCat(name, ": ", status.message()));
    if (value.find('\0') != std::string::npos)
      return InvalidField("env", absl::StrCat("the value of ", name, " must not contain NUL"));
    bytes += name.size() + value.size();
  }
  if (request.env_size() <= kMostVariables && bytes <= kLargestVariables) return absl::OkStatus();
  return InvalidField("env",
                      absl::StrCat("at most ", kMostVariables, " variables of ", kLargestVariables, " bytes together"));
}

// Adds the variables of the request to those of the file.
absl::Status AddEnv(const v1::CreateExperimentRequest& request, spec::Train* train) {
  for (const spec::Parameter& parameter : train->parameters) {
    const std::string variable = spec::EnvironmentName(parameter.name);
    if (!request.env().contains(variable)) continue;
    return InvalidField("env",
                        absl::StrCat("the parameter '", parameter.name, "' sets the variable ", variable, " already"));
  }
  for (const auto& [name, value] : request.env()) train->env[name] = value;
  return absl::OkStatus();
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

absl::Status CheckTexts(const v1::CreateExperimentRequest& request) {
  bool nul = HasNul(request.display_name()) || HasNul(request.description()) || HasNul(request.client_version()) ||
             HasNul(request.config_text());
  for (const std::string& text :
       {request.git().commit(), request.git().branch(), request.git().describe(), request.git().package()}) {
    nul = nul || HasNul(text);
    if (text.size() > kLongestGitText)
      return InvalidField("git", absl::StrCat("at most ", kLongestGitText, " bytes a field"));
  }
  bool long_label = false;
  for (const auto& [key, value] : request.labels()) {
    nul = nul || HasNul(key) || HasNul(value);
    long_label = long_label || key.empty() || key.size() > 63 || value.size() > 255;
  }
  if (nul) return Error(Reason::kInvalidArgument, "texts must not contain NUL");
  if (request.labels_size() > 64 || long_label)
    return InvalidField("labels", "at most 64, keys of 1 to 63 and values of at most 255 characters");
  if (request.display_name().size() > 255) return InvalidField("display_name", "at most 255 characters");
  if (request.description().size() > 4096) return InvalidField("description", "at most 4,096 characters");
  if (request.client_version().size() > 64) return InvalidField("client_version", "at most 64 characters");
  return absl::OkStatus();
}

}  // namespace

grpc::Status ExperimentHandler::CreateExperiment(grpc::ServerContext* context,
                                                 const v1::CreateExperimentRequest* request, v1::Experiment* response) {
  return rpc::SerialUnary(context, "riseml.v1.ExperimentService/CreateExperiment",
                          [&](const rpc::Call& call) { return rpc::Answer(Create(call, *request), response); });
}

absl::StatusOr<v1::Experiment> ExperimentHandler::Create(const rpc::Call& call,
                                                         const v1::CreateExperimentRequest& request) {
  RISEML_RETURN_IF_ERROR(CheckTexts(request));
  RISEML_RETURN_IF_ERROR(CheckEnv(request));
  RISEML_ASSIGN_OR_RETURN(const UserName owner, ParseUserName(request.parent()));
  if (!IsHexId(request.revision())) return InvalidField("revision", "must be a commit id of 40 lower-case hex digits");
  RISEML_ASSIGN_OR_RETURN(std::optional<v1::Experiment> replay, experiments_.FindReplay(call, request));
  if (replay) return *std::move(replay);
  ExperimentStore::NewExperiment wanted{.request = request};
  RISEML_ASSIGN_OR_RETURN(wanted.spec, spec::ParseSpec(request.config_text(), "riseml.yml"));
  RISEML_RETURN_IF_ERROR(spec::RequireTrain(wanted.spec, "riseml.yml"));
  if (wanted.spec.project != request.project())
    return Error(Reason::kInvalidArgument, absl::StrCat("the configuration names project ", wanted.spec.project,
                                                        ", the request project ", request.project()));
  RISEML_RETURN_IF_ERROR(spec::CheckRunnable(*wanted.spec.train));
  RISEML_RETURN_IF_ERROR(AddEnv(request, &*wanted.spec.train));
  RISEML_RETURN_IF_ERROR(AddInputs(request, &*wanted.spec.train));
  RISEML_ASSIGN_OR_RETURN(const ExperimentStore::RevisionKey revision,
                          experiments_.FindRevision(call, owner.user, request.project(), request.revision()));
  std::vector<std::string> secrets;
  for (const spec::Secret& secret : wanted.spec.train->secrets) secrets.push_back(secret.name);
  RISEML_RETURN_IF_ERROR(secrets_.Require(revision.user_uid, request.project(), secrets));
  RISEML_RETURN_IF_ERROR(FindEnvironment(call, revision, &wanted));
  return experiments_.Create(call, wanted);
}

// If builder does not answer, an environment that is a directory counts as missing: the build job then finds out. That
// of a container has to be known, since its base image is fixed here.
absl::Status ExperimentHandler::FindEnvironment(const rpc::Call& call, const ExperimentStore::RevisionKey& revision,
                                                ExperimentStore::NewExperiment* wanted) {
  const v1::TrainSpec spec = ToTrainSpec(*wanted->spec.train);
  if (!containers_ && !NeedsEnvironment(spec)) return absl::OkStatus();
  wanted->needs_build = wanted->request.rebuild();
  if (!containers_ && wanted->needs_build) return absl::OkStatus();
  internal::v1::ResolveEnvironmentRequest request;
  request.set_owner_uid(revision.user_uid);
  request.set_project_uid(revision.project_uid);
  request.set_commit(wanted->request.revision());
  *request.mutable_install() = spec.install();
  request.set_framework(spec.framework());
  request.set_framework_version(spec.framework_version());
  request.set_image(spec.image());
  const auto environment = rpc::Invoke<internal::v1::Environment>(
      [&](auto* context, auto* response) { return builder_.ResolveEnvironment(context, request, response); },
      {.timeout = containers_ ? kRegistryTimeout : kBuilderTimeout, .tries = 1, .request_id = call.request_id});
  if (containers_ && absl::IsDeadlineExceeded(environment.status()))
    return absl::FailedPreconditionError(absl::StrCat(
        "find the image", spec.image().empty() ? "" : " ", spec.image(), " of the experiment: its registry, or that ",
        "of the installation, did not answer within ", absl::FormatDuration(kRegistryTimeout), "; try again later"));
  if (containers_ && !environment.ok()) return While("find the image of the experiment", environment.status());
  if (!environment.ok() || environment->state() == internal::v1::Environment::MISSING) wanted->needs_build = true;
  if (environment.ok()) wanted->base_image = environment->base_image();
  return absl::OkStatus();
}

grpc::Status ExperimentHandler::GetExperiment(grpc::ServerContext* context, const v1::GetExperimentRequest* request,
                                              v1::Experiment* response) {
  return rpc::Unary(context, "riseml.v1.ExperimentService/GetExperiment", [&](const rpc::Call& call) {
    return rpc::Answer(experiments_.Get(call, request->name()), response);
  });
}
grpc::Status ExperimentHandler::ListExperiments(grpc::ServerContext* context, const v1::ListExperimentsRequest* request,
                                                v1::ListExperimentsResponse* response) {
  return rpc::Unary(context, "riseml.v1.ExperimentService/ListExperiments",
                    [&](const rpc::Call& call) { return rpc::Answer(experiments_.List(call, *request), response); });
}
grpc::Status ExperimentHandler::KillExperiment(grpc::ServerContext* context, const v1::KillExperimentRequest* request,
                                               v1::Experiment* response) {
  return rpc::SerialUnary(context, "riseml.v1.ExperimentService/KillExperiment", [&](const rpc::Call& call) {
    return rpc::Answer(experiments_.Kill(call, *request), response);
  });
}
grpc::Status ExperimentHandler::DeleteExperiment(grpc::ServerContext* context,
                                                 const v1::DeleteExperimentRequest* request,
                                                 v1::DeleteExperimentResponse*) {
  return rpc::SerialUnary(context, "riseml.v1.ExperimentService/DeleteExperiment",
                          [&](const rpc::Call& call) { return removals_.Delete(call, *request); });
}
grpc::Status ExperimentHandler::ListTransitions(grpc::ServerContext* context, const v1::ListTransitionsRequest* request,
                                                v1::ListTransitionsResponse* response) {
  return rpc::Unary(context, "riseml.v1.ExperimentService/ListTransitions", [&](const rpc::Call& call) {
    return rpc::Answer(experiments_.ListTransitions(call, *request), response);
  });
}
grpc::ServerWriteReactor<v1::WatchExperimentResponse>* ExperimentHandler::WatchExperiment(
    grpc::CallbackServerContext* context, const v1::WatchExperimentRequest* request) {
  const rpc::Call call = rpc::CallOf(*context, "riseml.v1.ExperimentService/WatchExperiment");
  absl::StatusOr<rpc::UserCalls::Permit> permit = rpc::UserCalls::OfProcess().EnterStream(call.caller);
  if (!permit.ok()) return RefusedWatch<v1::WatchExperimentResponse>::Start(permit.status());
  return Watch<v1::WatchExperimentResponse>::Start(
      db_.feed(), executor_,
      ExperimentWatcher(
          db_, [this](const rpc::Call& open) { return authenticator_.Recheck(open); }, experiments_.options(), call,
          *request),
      *std::move(permit));
}

}  // namespace riseml::api
