// The lists of an experiment store, page by page.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/api/data/page.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/api/experiment/experiment_store.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostStates = 64;

// Returns the database's names of the states, each once.
absl::StatusOr<std::vector<std::string>> StateNames(const google::protobuf::RepeatedField<int>& states) {
  if (states.size() > kMostStates) return InvalidField("states", absl::StrCat("at most ", kMostStates));
  std::set<std::string> names;
  for (const int state : states) {
    if (!v1::Experiment::State_IsValid(state) || state == v1::Experiment::STATE_UNSPECIFIED)
      return Error(Reason::kInvalidArgument, absl::StrCat("states: ", state, " is no state of an experiment"));
    names.insert(v1::Experiment::State_Name(static_cast<v1::Experiment::State>(state)));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

// Repeats the condition of the index of unfinished experiments, so that the database reads no others.
constexpr char kUnfinished[] = " AND e.state NOT IN ('FINISHED', 'FAILED', 'KILLED')";

// True if the requested states include no final one.
bool AreUnfinished(const std::vector<std::string>& states) {
  return !states.empty() && std::ranges::none_of(states, [](const std::string& state) {
    return state == "FINISHED" || state == "FAILED" || state == "KILLED";
  });
}

// Clients accept answers four times as large.
constexpr std::int64_t kPageBytes = 4 << 20;
constexpr char kListedBytes[] =
    "CASE WHEN e.child = 0 THEN octet_length(e.spec) ELSE 0 END + octet_length(e.result::text)";

// Selects all rows of a root, and of a child those of itself and its jobs.
constexpr char kTransitionsOf[] = R"sql(
  FROM transitions
  WHERE root_uid = $1 AND id > $2 AND ($3 OR object = $4 OR object LIKE $4 || '.%')
  ORDER BY id
  LIMIT $5
)sql";

// Returns the first UUIDs of a listing: at most `size`, at most kPageBytes together, but at least one.
std::vector<std::string> FittingPage(const pqxx::result& rows, int size) {
  std::vector<std::string> uids;
  std::int64_t bytes = 0;
  for (const auto& row : rows) {
    bytes += row[2].as<std::int64_t>();
    if (std::ssize(uids) == size || (bytes > kPageBytes && !uids.empty())) break;
    uids.push_back(row[0].as<std::string>());
  }
  return uids;
}

}  // namespace

absl::StatusOr<v1::ListExperimentsResponse> ExperimentStore::List(const rpc::Call& call,
                                                                  const v1::ListExperimentsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> states, StateNames(request.states()));
  const v1::ListExperimentsRequest arguments = WithoutPage(request);
  return db_.Snapshot("list experiments", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListExperimentsResponse> {
    // $1 is the parent, or for everybody the last experiment of the previous page; $2 is the key of that page's end.
    const bool everybody = request.parent() == "users/-";
    std::string uid = "00000000-0000-0000-0000-000000000000";
    std::string key_column = "e.number", where, order = "e.number DESC";
    if (request.parent().find("/experiments/") != std::string::npos) {
      RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, request.parent()));
      uid = key.uid;
      where = "e.root_uid = $1::uuid AND e.child > 0 AND e.child > $2";
      order = "e.child";
      key_column = "e.child";
    } else if (everybody) {
      if (!IsAdmin(call)) return Error(Reason::kPermissionDenied, "only admins may list the experiments of all users");
      key_column = Micros("e.create_time");
      where = absl::StrCat("e.child = 0 AND ($2::bigint = 0 OR ", key_column, " < $2 OR (", key_column,
                           " = $2 AND e.uid > $1::uuid))");
      order = "e.create_time DESC, e.uid";
    } else {
      RISEML_ASSIGN_OR_RETURN(const UserName user, ParseUserName(request.parent()));
      RISEML_ASSIGN_OR_RETURN(uid, FindUserOf(tx, call, user.user, request.parent()));
      where = "e.user_uid = $1::uuid AND e.child = 0 AND ($2::bigint = 0 OR e.number < $2)";
    }
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 2));
    std::int64_t after = 0;
    if (!last.empty() && (!absl::SimpleAtoi(last[0], &after) || !IsUuid(last[1])))
      return Error(Reason::kInvalidPageToken, "page_token is broken");
    if (everybody && !last.empty()) uid = last[1];
    const std::string page = absl::StrCat("SELECT e.uid, ", key_column, ", ", kListedBytes, R"sql(
      FROM experiments e
      JOIN projects p ON p.uid = e.project_uid
      WHERE )sql",
                                          where, AreUnfinished(states) ? kUnfinished : "", R"sql(
        AND ($3 = '{}' OR e.state = ANY($3::text[]))
        AND ($4 = '' OR p.name = $4)
      ORDER BY )sql",
                                          order, " LIMIT $5");
    const auto rows = sql::Query(tx, page, uid, after, ArrayLiteral(states), request.project(), size + 1);
    const std::vector<std::string> uids = FittingPage(rows, size);
    v1::ListExperimentsResponse response;
    for (v1::Experiment& e : LoadExperiments(tx, uids, false, options_)) *response.add_experiments() = std::move(e);
    if (rows.size() > uids.size()) {
      const pqxx::row end = rows[uids.size() - 1];
      response.set_next_page_token(MakePageToken({end[1].as<std::string>(), end[0].as<std::string>()}, arguments));
    }
    return response;
  });
}

absl::StatusOr<v1::ListTransitionsResponse> ExperimentStore::ListTransitions(
    const rpc::Call& call, const v1::ListTransitionsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListTransitionsRequest arguments = WithoutPage(request);
  return db_.Snapshot("list transitions", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListTransitionsResponse> {
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, request.parent()));
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 1));
    std::int64_t after = 0;
    if (!last.empty() && !absl::SimpleAtoi(last[0], &after))
      return Error(Reason::kInvalidPageToken, "page_token is broken");
    const std::string object = ShortId(key.name);
    const auto rows =
        sql::Query(tx,
                   absl::StrCat("SELECT id, object, attempt, from_state, to_state, reason, message, exit_code, actor, ",
                                Micros("time"), " AS time_micros", kTransitionsOf),
                   key.root_uid, after, key.uid == key.root_uid, object, size + 1);
    v1::ListTransitionsResponse response;
    for (const auto& row : rows) {
      if (response.transitions_size() == size) {
        response.set_next_page_token(MakePageToken({rows[size - 1]["id"].as<std::string>()}, arguments));
        break;
      }
      v1::Transition* t = response.add_transitions();
      t->set_object(row["object"].as<std::string>());
      t->set_attempt(row["attempt"].as<int>());
      t->set_from(row["from_state"].as<std::string>());
      t->set_to(row["to_state"].as<std::string>());
      t->set_reason(row["reason"].as<std::string>());
      t->set_message(row["message"].as<std::string>());
      if (!row["exit_code"].is_null()) t->set_exit_code(row["exit_code"].as<int>());
      t->set_actor(row["actor"].as<std::string>());
      *t->mutable_time() = ToTimestamp(row["time_micros"].as<std::int64_t>());
    }
    return response;
  });
}

absl::StatusOr<v1::ListJobsResponse> ExperimentStore::ListJobs(const rpc::Call& call,
                                                               const v1::ListJobsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListJobsRequest arguments = WithoutPage(request);
  return db_.Snapshot("list jobs", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListJobsResponse> {
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, request.parent()));
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 1));
    const auto rows =
        sql::Query(tx, "SELECT uid, name FROM jobs WHERE experiment_uid = $1 AND name > $2 ORDER BY name LIMIT $3",
                   key.uid, last.empty() ? std::string() : last[0], size + 1);
    std::vector<std::string> uids;
    for (const auto& row : rows)
      if (uids.size() < static_cast<std::size_t>(size)) uids.push_back(row[0].as<std::string>());
    v1::ListJobsResponse response;
    for (v1::Job& job : LoadJobs(tx, uids, false)) *response.add_jobs() = std::move(job);
    std::sort(response.mutable_jobs()->begin(), response.mutable_jobs()->end(),
              [](const v1::Job& a, const v1::Job& b) { return a.name() < b.name(); });
    if (rows.size() > uids.size())
      response.set_next_page_token(MakePageToken({rows[size - 1][1].as<std::string>()}, arguments));
    return response;
  });
}

}  // namespace riseml::api
