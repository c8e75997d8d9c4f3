#include "cli/client/experiments.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/client/project.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/parse.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMaxSpecBytes = 64 << 10;
constexpr std::int64_t kMaxPage = 500;

absl::StatusOr<std::string> ProjectOf(const std::string& config_file) {
  const auto spec = [&]() -> absl::StatusOr<spec::Spec> {
    RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_file, kMaxSpecBytes));
    return spec::ParseSpec(text, config_file);
  }();
  if (!spec.ok()) {
    return WithHint(While("cannot find the newest experiment of the project in this directory", spec.status()),
                    "Name the experiment instead.");
  }
  return spec->project;
}

// Name of the project of the current directory; empty when there is none.
absl::StatusOr<std::string> CurrentProject() {
  const std::string config = FindConfig();
  return config.empty() ? absl::StatusOr<std::string>("") : ProjectOf(config);
}

// The experiment `back` steps from the newest, 1 being the newest.
absl::StatusOr<std::string> Recent(Connection& connection, const std::string& user, const std::string& project,
                                   int back, absl::string_view none) {
  v1::ListExperimentsRequest request;
  request.set_parent(Print(UserName{user}));
  request.set_project(project);
  RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Experiment> found, ListExperiments(connection, request, back));
  if (static_cast<int>(found.size()) < back) return Error(Reason::kNotFound, none);
  return found[back - 1].name();
}

Subject SubjectOf(Connection& connection, const std::string& resource) {
  Subject subject = {.experiment = resource, .resource = resource};
  if (const auto name = ParseExperimentName(resource); name.ok()) {
    subject.target.user = name->user;
    subject.target.number = name->number;
    subject.target.child = name->child;
  }
  subject.shown = ShownId(resource, connection.caller());
  return subject;
}

// The parent is a user or a set.
absl::Status NoSuchParent(const Connection& connection, const std::string& parent) {
  if (const auto user = ParseUserName(parent); user.ok())
    return Error(Reason::kNotFound, absl::StrCat("Could not find user! There is no user ", user->user));
  return NoSuchExperiment(connection, parent);
}

}  // namespace

absl::Status NoSuchExperiment(const Connection& connection, const std::string& resource) {
  const auto name = ParseExperimentName(resource);
  const std::string owner = name.ok() && name->user != connection.caller() ? absl::StrCat(" .", name->user) : "";
  return WithHint(Error(Reason::kNotFound, absl::StrCat("Could not find experiment! There is no experiment ",
                                                        ShownId(resource, connection.caller()))),
                  absl::StrCat("List what there is: riseml status -a", owner));
}

absl::Status NoSuchJob(const Connection& connection, const std::string& resource) {
  const std::string experiment = resource.substr(0, resource.find("/jobs/"));
  return WithHint(Error(Reason::kNotFound,
                        absl::StrCat("Could not find job! There is no job ", ShownId(resource, connection.caller()))),
                  absl::StrCat("List the jobs: riseml status ", ShownId(experiment, connection.caller())));
}

absl::StatusOr<v1::Experiment> GetExperiment(Connection& connection, const std::string& resource) {
  v1::GetExperimentRequest request;
  request.set_name(resource);
  auto experiment = connection.Call<v1::Experiment>(
      [&](auto* context, auto* out) { return connection.experiments().GetExperiment(context, request, out); });
  if (absl::IsNotFound(experiment.status())) return NoSuchExperiment(connection, resource);
  return experiment;
}

absl::StatusOr<v1::Job> GetJob(Connection& connection, const std::string& resource) {
  v1::GetJobRequest request;
  request.set_name(resource);
  auto job = connection.Call<v1::Job>(
      [&](auto* context, auto* out) { return connection.jobs().GetJob(context, request, out); });
  if (absl::IsNotFound(job.status())) return NoSuchJob(connection, resource);
  return job;
}

absl::StatusOr<std::vector<v1::Experiment>> ListExperiments(Connection& connection, v1::ListExperimentsRequest request,
                                                            std::int64_t limit) {
  std::vector<v1::Experiment> out;
  do {
    const std::int64_t left = limit == 0 ? kMaxPage : limit - static_cast<std::int64_t>(out.size());
    request.set_page_size(static_cast<int>(std::min(left, kMaxPage)));
    auto page = connection.Call<v1::ListExperimentsResponse>([&](auto* context, auto* response) {
      return connection.experiments().ListExperiments(context, request, response);
    });
    if (absl::IsNotFound(page.status())) return NoSuchParent(connection, request.parent());
    RISEML_RETURN_IF_ERROR(page.status());
    for (v1::Experiment& experiment : *page->mutable_experiments()) out.push_back(std::move(experiment));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || static_cast<std::int64_t>(out.size()) < limit));
  return out;
}

void OnlyUnderWay(v1::ListExperimentsRequest* request) {
  for (const auto state : {v1::Experiment::CREATED, v1::Experiment::PENDING, v1::Experiment::STARTING,
                           v1::Experiment::BUILDING, v1::Experiment::RUNNING})
    request->add_states(state);
}

absl::StatusOr<Subject> NewestUnderWay(Connection& connection, const std::string& config_file, absl::string_view none) {
  RISEML_ASSIGN_OR_RETURN(const std::string project, config_file.empty() ? CurrentProject() : ProjectOf(config_file));
  if (project.empty()) {
    return absl::InvalidArgumentError(
        "no experiment is named, and there is no riseml.yml here that tells the project; name the experiment, or the "
        "configuration: -f FILE");
  }
  v1::ListExperimentsRequest request;
  request.set_parent(Print(UserName{connection.caller()}));
  request.set_project(project);
  OnlyUnderWay(&request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Experiment> found, ListExperiments(connection, request, kMaxPage));
  const auto newest = std::find_if(found.begin(), found.end(), [](const v1::Experiment& experiment) {
    return experiment.desired_state() != v1::Experiment::DESIRED_KILLED;
  });
  if (newest == found.end() && !found.empty())
    return Error(Reason::kNotFound,
                 absl::StrCat("experiment ", ShownId(found.front().name(), connection.caller()),
                              " of this project is being killed already, and no other is under way"));
  if (newest == found.end()) return Error(Reason::kNotFound, none);
  Subject subject = SubjectOf(connection, newest->name());
  subject.note = absl::StrCat("Newest experiment of project ", project, " that is under way: ", subject.shown);
  return subject;
}

absl::Status RefuseGuess(absl::string_view id) {
  const auto target = ParseTarget(id);
  if (!target.ok() || target->kind != Target::Kind::kRecent || !FindConfig().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("no riseml.yml here tells the project of ", id, "; name the experiment itself"));
}

absl::StatusOr<Subject> ResolveSubject(Connection& connection, absl::string_view id, absl::string_view none) {
  if (id.empty()) {
    RISEML_ASSIGN_OR_RETURN(const std::string project, CurrentProject());
    RISEML_ASSIGN_OR_RETURN(const std::string resource, Recent(connection, connection.caller(), project, 1, none));
    Subject subject = SubjectOf(connection, resource);
    subject.note = project.empty() ? absl::StrCat("Newest experiment: ", subject.shown)
                                   : absl::StrCat("Newest experiment of project ", project, ": ", subject.shown);
    return subject;
  }
  RISEML_ASSIGN_OR_RETURN(const Target target, ParseTarget(id));
  switch (target.kind) {
    case Target::Kind::kUser:
      return absl::InvalidArgumentError(absl::StrCat("'", id, "' is a user; name an experiment, e.g. ", id, ".1"));
    case Target::Kind::kRecent: {
      RISEML_ASSIGN_OR_RETURN(const std::string project, CurrentProject());
      RISEML_ASSIGN_OR_RETURN(const std::string resource,
                              Recent(connection, connection.caller(), project, target.back, none));
      Subject subject = SubjectOf(connection, resource);
      subject.note =
          absl::StrCat("Experiment ", subject.shown, project.empty() ? "" : absl::StrCat(" of project ", project));
      return subject;
    }
    case Target::Kind::kExperiment:
    case Target::Kind::kJob:
      break;
  }
  Subject subject = {.target = target,
                     .experiment = ExperimentResource(target, connection.caller()),
                     .resource = Resource(target, connection.caller())};
  subject.shown = ShownId(subject.resource, connection.caller());
  return subject;
}

}  // namespace riseml::cli
