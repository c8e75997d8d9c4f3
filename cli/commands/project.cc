#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/commands/commands.h"
#include "cli/commands/deletions.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "cli/render/table.h"
#include "services/common/base/byte_size.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct ProjectOptions {
  std::vector<std::string> names;
  bool all_users = false;
  bool json = false;
  bool yes = false;
  bool quiet = false;
};

// "census", or ".paul.census" for another user's project, as in ids of experiments.
std::string ShownProject(const ProjectName& name, const std::string& caller) {
  return name.user == caller ? name.project : absl::StrCat(".", name.user, ".", name.project);
}

// Reads what ShownProject prints, or a resource name.
absl::StatusOr<ProjectName> ParseProject(const std::string& text, const std::string& caller) {
  if (auto resource = ParseProjectName(text); resource.ok()) return *std::move(resource);
  absl::string_view rest = text;
  const bool dotted = absl::ConsumePrefix(&rest, ".");
  const std::vector<std::string> parts = absl::StrSplit(rest, '.');
  if (dotted && parts.size() == 2 && IsValidUserPart(parts[0]) && IsValidProjectPart(parts[1]))
    return ProjectName{parts[0], parts[1]};
  if (!dotted && IsValidProjectPart(text)) return ProjectName{caller, text};
  return Error(Reason::kInvalidName,
               absl::StrCat("'", OneLine(text), "' is no name of a project: write e.g. census, or .paul.census"));
}

absl::StatusOr<v1::Project> GetProject(Connection& connection, const ProjectName& name) {
  v1::GetProjectRequest request;
  request.set_name(Print(name));
  auto project = connection.Call<v1::Project>(
      [&](auto* context, auto* response) { return connection.projects().GetProject(context, request, response); });
  if (absl::IsNotFound(project.status()))
    return Error(Reason::kNotFound, absl::StrCat("there is no project ", ShownProject(name, connection.caller()),
                                                 "; see: riseml project list"));
  return project;
}

absl::Status DeleteProject(Connection& connection, const std::string& name) {
  v1::DeleteProjectRequest request;
  request.set_name(name);
  request.set_request_id(NewUuid());
  return connection
      .Call<v1::DeleteProjectResponse>(
          [&](auto* context, auto* out) { return connection.projects().DeleteProject(context, request, out); })
      .status();
}

absl::StatusOr<int> RemoveProjects(Session& session, const ProjectOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  std::vector<Deletion> deletions;
  for (const std::string& text : options.names) {
    RISEML_ASSIGN_OR_RETURN(const ProjectName name, ParseProject(text, connection->caller()));
    const std::string shown = ShownProject(name, connection->caller());
    if (std::ranges::any_of(deletions, [&](const Deletion& other) { return other.shown == shown; })) continue;
    RISEML_ASSIGN_OR_RETURN(const v1::Project project, GetProject(*connection, name));
    const std::int64_t bytes = project.stored_bytes();
    deletions.push_back({shown, absl::StrCat("project ", shown, bytes > 0 ? absl::StrCat(", ", PrintSize(bytes)) : ""),
                         [connection, name] { return DeleteProject(*connection, Print(name)); }});
  }
  return DeleteAll(
      session, deletions,
      {"Delete with all uploaded code and the project's secrets? This cannot be undone.", options.yes, options.quiet});
}

absl::StatusOr<std::vector<v1::Project>> AllProjects(Connection& connection, bool all_users) {
  std::vector<v1::Project> projects;
  v1::ListProjectsRequest request;
  request.set_parent(all_users ? "users/-" : Print(UserName{connection.caller()}));
  request.set_page_size(500);
  do {
    RISEML_ASSIGN_OR_RETURN(v1::ListProjectsResponse page,
                            connection.Call<v1::ListProjectsResponse>([&](auto* context, auto* out) {
                              return connection.projects().ListProjects(context, request, out);
                            }));
    for (v1::Project& project : *page.mutable_projects()) projects.push_back(std::move(project));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return projects;
}

absl::StatusOr<int> ListProjects(Session& session, const ProjectOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Project> projects, AllProjects(*connection, options.all_users));
  if (options.json) {
    session.Print(JsonObject().Many("projects", projects).Text());
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Project& project : projects) {
    RISEML_ASSIGN_OR_RETURN(const ProjectName name, ParseProjectName(project.name()));
    const std::string shown = ShownProject(name, connection->caller());
    if (options.quiet) session.Print(absl::StrCat(shown, "\n"));
    rows.push_back({shown, project.stored_bytes() > 0 ? PrintSize(project.stored_bytes()) : "-",
                    UtcOrNever(project.create_time())});
  }
  if (options.quiet) return kExitOk;
  if (rows.empty()) {
    session.Tell("There are no projects. The first `riseml train` in a directory makes one.\n");
    return kExitOk;
  }
  session.Print(Table(session.out(), {{"Name", 12}, {"Size", 9}, {"Created", 20}}, rows, 2));
  return kExitOk;
}

}  // namespace

void AddProject(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "project", "List and delete projects: the code that was uploaded",
                                      "  riseml project list\n"
                                      "  riseml project rm census");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<ProjectOptions>();
  cmdline::Command list =
      Runs(AddCommand(group, "list", "Show projects and what the code of all their revisions takes",
                      "  riseml project list\n"
                      "  riseml project list --json\n\n"
                      "Size is what was measured at the last upload; - is shown before the first one of this version."),
           plan, options, ListProjects);
  list.AddFlag("-u,--all-users", options->all_users, "Of all users (admins)");
  list.AddFlag("--json", options->json, "Print JSON");
  list.AddFlag("-q,--quiet", options->quiet, "Print names only");
  cmdline::Command remove =
      Runs(AddCommand(group, "rm", "Delete projects that have no experiments, with their code and secrets",
                      "  riseml project rm census\n"
                      "  riseml project rm --yes census digits    without a question\n"
                      "  riseml project rm .paul.census           of another user (admins)\n\n"
                      "Experiments go first: riseml rm ID. The next riseml train makes a new project of this name."),
           plan, options, RemoveProjects);
  remove.AddOption("names", options->names, "Projects").Type("NAME").Required();
  remove.AddFlag("-y,--yes", options->yes, "Do not ask");
  remove.AddFlag("-q,--quiet", options->quiet, "Say nothing");
}

}  // namespace riseml::cli
