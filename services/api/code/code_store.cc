#include "services/api/code/code_store.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/api/data/page.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

using internal::v1::CheckRequest;
using internal::v1::CheckResponse;

constexpr char kSelectProjects[] = R"sql(
  SELECT p.uid, u.name AS user_name, p.name AS project_name, p.slug, p.stored_bytes,
    (extract(epoch FROM p.create_time) * 1000000)::bigint AS create_micros
  FROM projects p
  JOIN users u ON u.uid = p.user_uid
)sql";

constexpr char kSelectRevisions[] = R"sql(
  SELECT u.name AS user_name, p.name AS project_name, r.commit_id, r.tree_id, r.number, r.file_count, r.total_bytes,
    (extract(epoch FROM r.create_time) * 1000000)::bigint AS create_micros
  FROM revisions r
  JOIN projects p ON p.uid = r.project_uid
  JOIN users u ON u.uid = p.user_uid
)sql";

constexpr char kInsertProject[] = R"sql(
  INSERT INTO projects (user_uid, name, slug)
  SELECT uid, $2, $3
  FROM users
  WHERE name = $1
  ON CONFLICT (user_uid, name) DO NOTHING
  RETURNING uid
)sql";

constexpr char kInsertRevision[] = R"sql(
  INSERT INTO revisions (project_uid, number, commit_id, tree_id, file_count, total_bytes, snapshot_window_ms)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
)sql";

v1::Project ToProject(const pqxx::row& row) {
  v1::Project project;
  project.set_uid(row["uid"].as<std::string>());
  project.set_name(Print(ProjectName{row["user_name"].as<std::string>(), row["project_name"].as<std::string>()}));
  project.set_slug(row["slug"].as<std::string>());
  *project.mutable_create_time() = ToTimestamp(row["create_micros"].as<std::int64_t>());
  project.set_stored_bytes(row["stored_bytes"].as<std::int64_t>());
  return project;
}

v1::Revision ToRevision(const pqxx::row& row) {
  v1::Revision revision;
  revision.set_commit(row["commit_id"].as<std::string>());
  revision.set_name(Print(
      RevisionName{row["user_name"].as<std::string>(), row["project_name"].as<std::string>(), revision.commit()}));
  revision.set_tree(row["tree_id"].as<std::string>());
  revision.set_number(row["number"].as<std::int64_t>());
  revision.set_file_count(row["file_count"].as<std::int64_t>());
  revision.set_total_bytes(row["total_bytes"].as<std::int64_t>());
  *revision.mutable_create_time() = ToTimestamp(row["create_micros"].as<std::int64_t>());
  return revision;
}

absl::StatusOr<v1::Project> FindProject(pqxx::transaction_base& tx, const rpc::Call& call, const ProjectName& name) {
  const auto rows =
      sql::Query(tx, absl::StrCat(kSelectProjects, "WHERE u.name = $1 AND p.name = $2 AND (u.uid = $3 OR $4)"),
                 name.user, name.project, call.caller.user_uid(), IsAdmin(call));
  if (rows.empty()) return NotFound(Print(name));
  return ToProject(rows[0]);
}

std::string SlugOf(const std::string& project) {
  return absl::AsciiStrToLower(absl::StrReplaceAll(project, {{"-", ""}, {"_", ""}}));
}

// Turns gitsync's call into one of the user whom the request names; leaves it as it is if the request names nobody.
template <class Request>
absl::StatusOr<rpc::Call> ByUser(pqxx::transaction_base& tx, rpc::Call call, const Request& request) {
  if (request.caller_uid().empty()) return call;
  const auto rows = sql::Query(tx, "SELECT name FROM users WHERE uid = $1", request.caller_uid());
  if (rows.empty()) return NotFound(absl::StrCat("user ", request.caller_uid()));
  const std::string service = call.caller.service();
  call.caller.Clear();
  call.caller.set_kind(internal::v1::Caller::USER);
  call.caller.set_user(rows[0][0].c_str());
  call.caller.set_key_id(request.caller_key_id());
  call.caller.set_acting_service(service);
  if (!request.caller_peer().empty()) call.peer = request.caller_peer();
  return call;
}

// Reserves nothing: concurrent pushes may each take what is left.
absl::Status CheckPack(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                       const internal::v1::ResolveProjectRequest& request, const UserLimits& limits) {
  RISEML_ASSIGN_OR_RETURN(const rpc::Call by_user, ByUser(tx, call, request));
  const auto rows = sql::Query(
      tx, "SELECT k.stored_bytes FROM users u JOIN user_usage k ON k.user_uid = u.uid WHERE u.name = $1", user);
  return CheckRoom(by_user, user, rows.empty() ? 0 : rows[0][0].as<std::int64_t>(), CountedBytes(request.pack_bytes()),
                   limits);
}

// Stores the size of a project's repository, unless it was not measured. The project is locked.
void TakeRepositoryBytes(pqxx::transaction_base& tx, const internal::v1::RegisterRevisionRequest& request,
                         const std::string& user_uid, std::int64_t before) {
  if (request.repository_bytes() <= 0) return;
  const std::int64_t bytes = CountedBytes(request.repository_bytes());
  sql::Query(tx, "UPDATE projects SET stored_bytes = $2 WHERE uid = $1", request.project_uid(), bytes);
  StoredBytes stored;
  stored.AddCode(user_uid, bytes - before);
  stored.Write(tx);
}

}  // namespace

absl::StatusOr<v1::Project> CodeStore::GetProject(const rpc::Call& call, const std::string& name) {
  RISEML_ASSIGN_OR_RETURN(const ProjectName parsed, ParseProjectName(name));
  return db_.Read("get project", [&](pqxx::work& tx) { return FindProject(tx, call, parsed); });
}

absl::StatusOr<v1::ListProjectsResponse> CodeStore::ListProjects(const rpc::Call& call,
                                                                 const v1::ListProjectsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListProjectsRequest arguments = WithoutPage(request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 2));
  const bool everybody = request.parent() == "users/-";
  if (everybody && !IsAdmin(call))
    return Error(Reason::kPermissionDenied, "only admins may list the projects of all users");
  std::string user;
  if (!everybody) {
    RISEML_ASSIGN_OR_RETURN(const UserName parsed, ParseUserName(request.parent()));
    user = parsed.user;
    if (user != call.caller.user() && !IsAdmin(call)) return NotFound(request.parent());
  }
  return db_.Read("list projects", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListProjectsResponse> {
    const std::string page = absl::StrCat(kSelectProjects, R"sql(
      WHERE ($1 = '' OR u.name = $1) AND (u.name, p.name) > ($2, $3)
      ORDER BY u.name, p.name
      LIMIT $4
    )sql");
    const auto rows = sql::Query(tx, page, user, last.empty() ? std::string() : last[0],
                                 last.empty() ? std::string() : last[1], size + 1);
    v1::ListProjectsResponse response;
    for (const auto& row : rows) {
      if (response.projects_size() == size) {
        const pqxx::row end = rows[size - 1];
        response.set_next_page_token(
            MakePageToken({end["user_name"].as<std::string>(), end["project_name"].as<std::string>()}, arguments));
        break;
      }
      *response.add_projects() = ToProject(row);
    }
    return response;
  });
}

absl::StatusOr<v1::Revision> CodeStore::GetRevision(const rpc::Call& call, const std::string& name) {
  RISEML_ASSIGN_OR_RETURN(const RevisionName parsed, ParseRevisionName(name));
  return db_.Read("get revision", [&](pqxx::work& tx) -> absl::StatusOr<v1::Revision> {
    const auto rows = sql::Query(
        tx,
        absl::StrCat(kSelectRevisions, "WHERE u.name = $1 AND p.name = $2 AND r.commit_id = $3 AND (u.uid = $4 OR $5)"),
        parsed.user, parsed.project, parsed.commit, call.caller.user_uid(), IsAdmin(call));
    if (rows.empty()) return NotFound(name);
    return ToRevision(rows[0]);
  });
}

absl::StatusOr<v1::ListRevisionsResponse> CodeStore::ListRevisions(const rpc::Call& call,
                                                                   const v1::ListRevisionsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListRevisionsRequest arguments = WithoutPage(request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 1));
  RISEML_ASSIGN_OR_RETURN(const ProjectName name, ParseProjectName(request.parent()));
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  if (!last.empty() && !absl::SimpleAtoi(last[0], &before))
    return Error(Reason::kInvalidPageToken, "page_token is broken");
  return db_.Read("list revisions", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListRevisionsResponse> {
    RISEML_ASSIGN_OR_RETURN(const v1::Project project, FindProject(tx, call, name));
    const auto rows = sql::Query(
        tx,
        absl::StrCat(kSelectRevisions, "WHERE r.project_uid = $1 AND r.number < $2 ORDER BY r.number DESC LIMIT $3"),
        project.uid(), before, size + 1);
    v1::ListRevisionsResponse response;
    for (const auto& row : rows) {
      if (response.revisions_size() == size) {
        response.set_next_page_token(MakePageToken({rows[size - 1]["number"].as<std::string>()}, arguments));
        break;
      }
      *response.add_revisions() = ToRevision(row);
    }
    return response;
  });
}

absl::StatusOr<internal::v1::ResolveProjectResponse> CodeStore::ResolveProject(
    const rpc::Call& call, const internal::v1::ResolveProjectRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const ProjectName name, ParseProjectName(request.project()));
  return db_.Write("resolve project", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::ResolveProjectResponse> {
    internal::v1::ResolveProjectResponse response;
    if (request.pack_bytes() > 0) RISEML_RETURN_IF_ERROR(CheckPack(tx, call, name.user, request, limits_));
    if (request.create()) {
      const auto created = sql::Query(tx, kInsertProject, name.user, name.project, SlugOf(name.project));
      response.set_created(!created.empty());
      if (!created.empty()) {
        RISEML_ASSIGN_OR_RETURN(const rpc::Call by_user, ByUser(tx, call, request));
        RecordAudit(tx, by_user, request.project());
      }
    }
    const auto rows = sql::Query(
        tx, "SELECT p.uid, p.head FROM projects p JOIN users u ON u.uid = p.user_uid WHERE u.name = $1 AND p.name = $2",
        name.user, name.project);
    if (rows.empty()) return NotFound(request.project());
    response.set_uid(rows[0][0].as<std::string>());
    response.set_head(rows[0][1].as<std::string>());
    return response;
  });
}

absl::StatusOr<v1::Revision> CodeStore::RegisterRevision(const rpc::Call& call,
                                                         const internal::v1::RegisterRevisionRequest& request) {
  if (!IsHexId(request.commit()) || !IsHexId(request.tree()))
    return Error(Reason::kInvalidArgument, "commit and tree must be 40 lower-case hex digits");
  return db_.Write("register revision", [&](pqxx::work& tx) -> absl::StatusOr<v1::Revision> {
    const auto rows = sql::Query(
        tx, "SELECT head, last_revision, user_uid, stored_bytes FROM projects WHERE uid = $1 FOR NO KEY UPDATE",
        request.project_uid());
    if (rows.empty()) return NotFound(absl::StrCat("project ", request.project_uid()));
    const pqxx::row project = rows[0];
    const std::string find = absl::StrCat(kSelectRevisions, "WHERE r.project_uid = $1 AND r.commit_id = $2");
    if (const auto known = sql::Query(tx, find, request.project_uid(), request.commit()); !known.empty())
      return ToRevision(known[0]);
    if (project["head"].as<std::string>() != request.parent())
      return Error(Reason::kPushOutdated, "another push of this project finished in the meantime; push again");
    sql::Query(tx, kInsertRevision, request.project_uid(), project["last_revision"].as<std::int64_t>() + 1,
               request.commit(), request.tree(), request.file_count(), request.total_bytes(),
               absl::ToInt64Milliseconds(FromProtoDuration(request.snapshot_window())));
    sql::Query(tx, "UPDATE projects SET head = $2, last_revision = last_revision + 1 WHERE uid = $1",
               request.project_uid(), request.commit());
    v1::Revision revision = ToRevision(sql::Query(tx, find, request.project_uid(), request.commit())[0]);
    RISEML_ASSIGN_OR_RETURN(const rpc::Call by_user, ByUser(tx, call, request));
    RecordAudit(tx, by_user, revision.name());
    TakeRepositoryBytes(tx, request, project["user_uid"].as<std::string>(), project["stored_bytes"].as<std::int64_t>());
    return revision;
  });
}

absl::StatusOr<CheckResponse> CodeStore::Check(const rpc::Call& as_user, const CheckRequest& request) {
  const bool write = request.permission() == CheckRequest::WRITE;
  if (write && as_user.caller.role() < v1::User::USER)
    return Error(Reason::kPermissionDenied, "this needs role USER, you have VIEWER");
  const std::string& name = request.resource();
  return db_.Read("check access", [&](pqxx::work& tx) -> absl::StatusOr<CheckResponse> {
    CheckResponse response;
    *response.mutable_caller() = as_user.caller;
    response.set_name(name);
    if (absl::StrContains(name, "/jobs/")) {
      RISEML_ASSIGN_OR_RETURN(const JobKey key, FindJob(tx, as_user, name));
      response.set_uid(key.uid);
      response.set_name(Print(key.name));
      return response;
    }
    if (absl::StrContains(name, "/experiments/")) {
      RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, as_user, name));
      response.set_uid(key.uid);
      response.set_name(Print(key.name));
      return response;
    }
    if (absl::StrContains(name, "/revisions/")) {
      RISEML_ASSIGN_OR_RETURN(const RevisionName revision, ParseRevisionName(name));
      const auto project = FindProject(tx, as_user, {revision.user, revision.project});
      if (!project.ok() || sql::Query(tx, "SELECT 1 FROM revisions WHERE project_uid = $1 AND commit_id = $2",
                                      project->uid(), revision.commit)
                               .empty())
        return NotFound(name);
      response.set_uid(project->uid());
      return response;
    }
    RISEML_ASSIGN_OR_RETURN(const ProjectName parsed, ParseProjectName(name));
    const auto project = FindProject(tx, as_user, parsed);
    if (project.ok()) {
      response.set_uid(project->uid());
      return response;
    }
    // The owner may make a project that does not exist yet; so may an admin, for a user who exists.
    const bool may_create = write && !sql::Query(tx, "SELECT 1 FROM users WHERE name = $1 AND (uid = $2 OR $3)",
                                                 parsed.user, as_user.caller.user_uid(), IsAdmin(as_user))
                                          .empty();
    return may_create ? absl::StatusOr<CheckResponse>(response) : NotFound(name);
  });
}

}  // namespace riseml::api
