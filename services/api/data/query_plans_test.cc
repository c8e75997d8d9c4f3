// Tests that what is done often reads no more rows than its answer needs, in a database with many.
#include <gtest/gtest.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

using nlohmann::json;

constexpr int kMany = 3000;        // experiments of the user, and users
constexpr double kAllowance = 50;  // rows that a part of a plan may read beyond five for each row of the answer

// The plans that auto_explain has written into a log of the server.
std::vector<json> PlansIn(const std::string& log) {
  std::vector<json> plans;
  const std::vector<absl::string_view> lines = absl::StrSplit(log, '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!absl::EndsWith(lines[i], "plan:")) continue;
    std::string text;
    while (i + 1 < lines.size() && absl::StartsWith(lines[i + 1], "\t")) absl::StrAppend(&text, lines[++i], "\n");
    plans.push_back(json::parse(text));
  }
  return plans;
}

double Number(const json& node, const char* name) { return node.contains(name) ? node[name].get<double>() : 0; }

// Rows that a part of a plan has read from a table or an index, all its runs together.
double RowsRead(const json& node) {
  if (!node.contains("Relation Name") && !node.contains("Index Name")) return 0;
  if (node["Node Type"] == "ModifyTable") return 0;
  return (Number(node, "Actual Rows") + Number(node, "Rows Removed by Filter") +
          Number(node, "Rows Removed by Index Recheck")) *
         Number(node, "Actual Loops");
}

double RowsOfAnswer(const json& plan) {
  const json& node = plan["Node Type"] == "ModifyTable" && plan.contains("Plans") ? plan["Plans"][0] : plan;
  return Number(node, "Actual Rows");
}

void FindWaste(const json& node, double allowed, std::vector<std::string>* waste) {
  if (RowsRead(node) > allowed)
    waste->push_back(absl::StrCat(node["Node Type"].get<std::string>(), " of ",
                                  node.value("Relation Name", node.value("Index Name", "")), " reads ", RowsRead(node),
                                  " rows"));
  if (!node.contains("Plans")) return;
  for (const json& part : node["Plans"]) FindWaste(part, allowed, waste);
}

class QueryPlansTest : public ApiTestBase {
 protected:
  void SetUp() override {
    ApiTestBase::SetUp();
    ended_ = Create(kSingle);
    api_->RunToEnd(ended_.jobs(0).uid());
    api_->CompleteLog(ended_.jobs(0).uid());
    Multiply();
    Explain();
    api_->Restart();
    begin_ = api_->postgres().Log().size();
  }

  // Copies the experiment that has ended, its job and its attempt, and users with their keys.
  void Multiply() {
    Execute(
        {absl::StrCat(
             "INSERT INTO experiments SELECT (jsonb_populate_record(e, jsonb_build_object('uid', md5(n::text)::uuid, "
             "'root_uid', md5(n::text)::uuid, 'number', n))).* FROM experiments e, generate_series(1001, ",
             1000 + kMany, ") n WHERE e.uid = '", ended_.uid(), "'"),
         absl::StrCat(
             "INSERT INTO jobs SELECT (jsonb_populate_record(j, jsonb_build_object('uid', md5('j' || n)::uuid, "
             "'experiment_uid', md5(n::text)::uuid, 'root_uid', md5(n::text)::uuid, 'sequence', 100000 + n))).* "
             "FROM jobs j, generate_series(1001, ",
             1000 + kMany, ") n WHERE j.uid = '", ended_.jobs(0).uid(), "'"),
         absl::StrCat("INSERT INTO attempts SELECT (jsonb_populate_record(a, jsonb_build_object('job_uid', md5('j' || "
                      "n)::uuid))).* FROM attempts a, generate_series(1001, ",
                      1000 + kMany, ") n WHERE a.job_uid = '", ended_.jobs(0).uid(), "'"),
         absl::StrCat(
             "INSERT INTO users SELECT (jsonb_populate_record(u, jsonb_build_object('uid', md5('u' || n)::uuid, "
             "'name', 'other' || n, 'experiments', 0))).* FROM users u, generate_series(1, ",
             kMany, ") n WHERE u.name = '", user_, "'"),
         absl::StrCat(
             "INSERT INTO api_keys SELECT (jsonb_populate_record(k, jsonb_build_object('id', 'k' || n, 'user_uid', "
             "md5('u' || n)::uuid))).* FROM api_keys k, generate_series(1, ",
             kMany, ") n WHERE k.id = (SELECT min(id) FROM api_keys)"),
         absl::StrCat("UPDATE users SET last_experiment = ", 1000 + kMany, ", experiments = experiments + ", kMany,
                      " WHERE name = '", user_, "'"),
         "ANALYZE"});
  }

  // From the next connection on the server writes each plan, with what it has read, into its log.
  void Explain() {
    pqxx::connection db(api_->database());
    std::vector<std::string> statements;
    for (const char* setting : {"session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0",
                                "auto_explain.log_analyze = on", "auto_explain.log_timing = off",
                                "auto_explain.log_format = 'json'", "auto_explain.log_nested_statements = on"})
      statements.push_back(absl::StrCat("ALTER DATABASE ", db.dbname(), " SET ", setting));
    Execute(statements);
  }

  void Execute(const std::vector<std::string>& statements) {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    for (const std::string& statement : statements) tx.exec(statement);
    tx.commit();
  }

  // What has been planned since the set-up reads little. Returns how many plans there were.
  std::size_t ExpectLittleIsRead() {
    const std::vector<json> plans = PlansIn(api_->postgres().Log().substr(begin_));
    for (const json& entry : plans) {
      std::vector<std::string> waste;
      FindWaste(entry["Plan"], kAllowance + 5 * RowsOfAnswer(entry["Plan"]), &waste);
      for (const std::string& part : waste)
        ADD_FAILURE() << part << " for an answer of " << RowsOfAnswer(entry["Plan"]) << ": "
                      << entry["Query Text"].get<std::string>();
    }
    return plans.size();
  }

  v1::Experiment ended_;
  std::size_t begin_ = 0;
};

TEST_F(QueryPlansTest, WhatIsDoneOftenReadsFewRows) {
  const v1::Experiment run = Create(kSingle);
  const v1::Experiment set = Create(kSet);
  Get(run.name());
  Get(ended_.name());
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest all, live, of_project;
  live.add_states(v1::Experiment::PENDING);
  live.add_states(v1::Experiment::RUNNING);
  of_project.set_project("digits");
  for (v1::ListExperimentsRequest list : {all, live, of_project}) {
    list.set_parent("users/" + user_);
    list.set_page_size(10);
    EXPECT_TRUE(rpc::Invoke<v1::ListExperimentsResponse>(
                    [&](auto* c, auto* r) { return stub->ListExperiments(c, list, r); }, {.credential = key_})
                    .ok());
  }
  live.set_parent("users/-");
  EXPECT_TRUE(
      rpc::Invoke<v1::ListExperimentsResponse>([&](auto* c, auto* r) { return stub->ListExperiments(c, live, r); },
                                               {.credential = api_->admin_key()})
          .ok());
  api_->RunToEnd(run.jobs(0).uid());
  api_->CompleteLog(run.jobs(0).uid(), 1, 1000);
  ASSERT_TRUE(api_->Kill(key_, set.name()).ok());
  EXPECT_GT(ExpectLittleIsRead(), 50u);
}

}  // namespace
}  // namespace riseml::api
