#include "cli/client/experiments.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/client/project.h"
#include "services/common/base/file.h"
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
    return WithHint(While("find the newest experiment of the project in this directory", spec.status()),
                    "Name the experiment instead.");
  }
  return spec->project;
}

// Name of the project the user stands in; empty when there is none.
absl::StatusOr<std::string> CurrentProject() {
  const std::string config = FindConfig();
  return config.empty() ? absl::StatusOr<std::string>("") : ProjectOf(config);
}

// NOT_FOUND in the words of the product.
absl::Status Renamed(const absl::Status& status, absl::string_view message) {
  return absl::IsNotFound(status) ? Error(Reason::kNotFound, message) : status;
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

}  // namespace

absl::StatusOr<v1::Experiment> GetExperiment(Connection& connection, const std::string& resource) {
  v1::GetExperimentRequest request;
  request.set_name(resource);
  auto experiment = connection.Call<v1::Experiment>(
      [&](auto* context, auto* out) { return connection.experiments().GetExperiment(context, request, out); });
  if (!experiment.ok()) return Renamed(experiment.status(), "Could not find experiment!");
  return experiment;
}

absl::StatusOr<v1::Job> GetJob(Connection& connection, const std::string& resource) {
  v1::GetJobRequest request;
  request.set_name(resource);
  auto job = connection.Call<v1::Job>(
      [&](auto* context, auto* out) { return connection.jobs().GetJob(context, request, out); });
  if (!job.ok()) return Renamed(job.status(), "Could not find job!");
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
    if (!page.ok()) return Renamed(page.status(), "Could not find experiment!");
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
        "configuration: --config-file FILE");
  }
  v1::ListExperimentsRequest request;
  request.set_parent(Print(UserName{connection.caller()}));
  request.set_project(project);
  OnlyUnderWay(&request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Experiment> found, ListExperiments(connection, request, kMaxPage));
  const auto newest = std::find_if(found.begin(), found.end(), [](const v1::Experiment& experiment) {
    return experiment.desired_state() != v1::Experiment::DESIRED_KILLED;
  });
  if (newest == found.end()) return Error(Reason::kNotFound, none);
  Subject subject = SubjectOf(connection, newest->name());
  subject.note = absl::StrCat("Newest experiment of project ", project, " that is under way: ", subject.shown);
  return subject;
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
      RISEML_ASSIGN_OR_RETURN(const std::string resource,
                              Recent(connection, connection.caller(), "", target.back, none));
      Subject subject = SubjectOf(connection, resource);
      subject.note = absl::StrCat("Experiment ", subject.shown);
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
