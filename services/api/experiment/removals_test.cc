// Deletion of experiments: what may go, what goes at once, what the stores are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <pqxx/pqxx>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/removal.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using internal::v1::ListRemovalsRequest;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class RemovalsTest : public ApiTestBase {
 protected:
  absl::Status Delete(const std::string& key, const std::string& name, const std::string& request_id = "") {
    const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
    v1::DeleteExperimentRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    return rpc::Invoke<v1::DeleteExperimentResponse>(
               [&](auto* c, auto* r) { return stub->DeleteExperiment(c, request, r); }, {.credential = key})
        .status();
  }
  std::vector<std::string> Listed(const std::string& service, ListRemovalsRequest::Kind kind) {
    const auto stub = internal::v1::RemovalService::NewStub(api_->ServiceChannel(service));
    internal::v1::ListRemovalsRequest request;
    request.set_kind(kind);
    const auto listed = rpc::Invoke<internal::v1::ListRemovalsResponse>(
        [&](auto* c, auto* r) { return stub->ListRemovals(c, request, r); });
    EXPECT_TRUE(listed.ok()) << listed.status();
    return {listed->items().begin(), listed->items().end()};
  }
  absl::Status Report(const std::string& service, ListRemovalsRequest::Kind kind, const std::string& item) {
    const auto stub = internal::v1::RemovalService::NewStub(api_->ServiceChannel(service));
    internal::v1::ReportRemovedRequest request;
    request.set_kind(kind);
    request.add_items(item);
    return rpc::Invoke<internal::v1::ReportRemovedResponse>(
               [&](auto* c, auto* r) { return stub->ReportRemoved(c, request, r); })
        .status();
  }
  v1::Experiment Ended(const std::string& yaml) {
    const v1::Experiment made = Create(yaml);
    for (const v1::Job& job : made.jobs()) {
      api_->RunToEnd(job.uid());
      api_->CompleteLog(job.uid());
    }
    return made;
  }
  int Rows(const std::string& table) {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    return tx.exec1("SELECT count(*) FROM " + table)[0].as<int>();
  }
};

TEST_F(RemovalsTest, AUserHasABoundedNumberOfExperiments) {
  const v1::Experiment first = Ended(kSingle);
  pqxx::connection connection(api_->database());
  const auto count = [&](int by) {
    pqxx::work tx(connection);
    tx.exec_params("UPDATE users SET experiments = experiments + $2 WHERE name = $1", user_, by);
    tx.commit();
  };
  constexpr int kOthers = 100'000 - 3;
  count(kOthers);  // one, and room for two more
  const auto set = api_->Create(key_, user_, kSet);
  EXPECT_TRUE(HasReason(set.status(), Reason::kLimitExceeded)) << set.status();
  EXPECT_THAT(std::string(set.status().message()), HasSubstr("has 99998 experiments and may have 100000"));
  Create(kSingle);
  Create(kSingle);
  EXPECT_TRUE(HasReason(api_->Create(key_, user_, kSingle).status(), Reason::kLimitExceeded));
  EXPECT_TRUE(Delete(key_, first.name()).ok());
  Create(kSingle);
  count(-kOthers);
}

TEST_F(RemovalsTest, ADeletedExperimentIsGoneAndStoresAreTold) {
  const v1::Experiment experiment = Ended(kSingle);
  const std::string job = experiment.jobs(0).uid(), output = user_ + "/digits/1";
  ASSERT_TRUE(Delete(key_, experiment.name()).ok());
  EXPECT_TRUE(absl::IsNotFound(api_->Get(key_, experiment.name()).status()));
  EXPECT_TRUE(absl::IsNotFound(Delete(key_, experiment.name())));
  EXPECT_THAT(Listed("loghandler", internal::v1::ListRemovalsRequest::LOG), Contains(job));
  EXPECT_THAT(Listed("agent", internal::v1::ListRemovalsRequest::OUTPUT), Contains(output));
  EXPECT_TRUE(Report("loghandler", internal::v1::ListRemovalsRequest::LOG, job).ok());
  EXPECT_TRUE(Report("loghandler", internal::v1::ListRemovalsRequest::LOG, job).ok()) << "idempotent";
  EXPECT_THAT(Listed("loghandler", internal::v1::ListRemovalsRequest::LOG), Not(Contains(job)));
  EXPECT_THAT(Listed("agent", internal::v1::ListRemovalsRequest::OUTPUT), Contains(output))
      << "that is another store's";
  EXPECT_EQ(Create(kSingle).name(), absl::StrCat("users/", user_, "/experiments/2")) << "numbers are not used again";
}

TEST_F(RemovalsTest, ASetGoesWithItsChildrenAndNothingElse) {
  const std::vector<std::string> tables = {"experiments", "jobs", "attempts", "transitions"};
  const v1::Experiment kept = Ended(kSingle);
  std::vector<int> before;
  for (const std::string& table : tables) before.push_back(Rows(table));
  const v1::Experiment set = Create(kSet);
  EXPECT_TRUE(api_->Kill(key_, set.name()).ok());
  const absl::Status child = Delete(key_, set.name() + ".2");
  EXPECT_THAT(std::string(child.message()), HasSubstr("2.2 is part of set 2; only a whole set can be deleted"));
  ASSERT_TRUE(Delete(key_, set.name()).ok());
  for (std::size_t i = 0; i < tables.size(); ++i) EXPECT_EQ(Rows(tables[i]), before[i]) << tables[i];
  EXPECT_TRUE(api_->Get(key_, kept.name()).ok());
  EXPECT_THAT(Listed("agent", internal::v1::ListRemovalsRequest::OUTPUT), Contains(user_ + "/digits/2"));
}

TEST_F(RemovalsTest, WhatRunsOrStillStoresItsLogStays) {
  const v1::Experiment experiment = Create(kSingle);
  absl::Status status = Delete(key_, experiment.name());
  EXPECT_TRUE(HasReason(status, Reason::kExperimentRuns)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("experiment 1 is PENDING; stop it first: riseml kill 1"));
  api_->RunToEnd(experiment.jobs(0).uid());
  status = Delete(key_, experiment.name());
  EXPECT_TRUE(HasReason(status, Reason::kExperimentRuns)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the log of experiment 1 is still being stored"));
  api_->CompleteLog(experiment.jobs(0).uid());
  EXPECT_TRUE(Delete(key_, experiment.name()).ok());
}

TEST_F(RemovalsTest, AnInputStaysAsLongAsItsReader) {
  const v1::Experiment source = Ended(kSingle);
  const v1::Experiment reader =
      Ended("project: digits\ntrain: {image: x, resources: {}, run: a, inputs: {model: 1}}\n");
  const absl::Status status = Delete(key_, source.name());
  EXPECT_TRUE(HasReason(status, Reason::kInUse)) << status;
  EXPECT_EQ(std::string(status.message()),
            "the output of 1 is an input of experiment 2; delete that first: riseml rm 2");
  Ended("project: digits\ntrain: {image: x, resources: {}, run: a, inputs: {a: 1, b: 1}}\n");
  EXPECT_EQ(std::string(Delete(key_, source.name()).message()),
            "the output of 1 is an input of experiments 2, 3; delete those first: riseml rm 2 3");
  EXPECT_TRUE(Delete(key_, reader.name()).ok());
  EXPECT_TRUE(Delete(key_, absl::StrCat("users/", user_, "/experiments/3")).ok());
  EXPECT_TRUE(Delete(key_, source.name()).ok());
}

TEST_F(RemovalsTest, AReaderOfSomebodyElseIsNamedWithItsOwner) {
  const v1::Experiment source = Ended(kSingle);
  const std::string other = user_ + "x";
  const std::string other_key = api_->NewUser(other, v1::User::ADMIN);
  api_->NewRevision(other, "digits");
  const auto reader = api_->Create(
      other_key, other,
      absl::StrCat("project: digits\ntrain: {image: x, resources: {}, run: a, inputs: {m: ", user_, ".1}}\n"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(
      std::string(Delete(key_, source.name()).message()),
      absl::StrCat("the output of 1 is an input of experiment .", other, ".1; ask ", other, " to delete that first"));
  EXPECT_EQ(std::string(Delete(other_key, source.name()).message()),
            absl::StrCat("the output of .", user_, ".1 is an input of experiment 1; delete that first: riseml rm 1"));
}

TEST_F(RemovalsTest, DeletionsAndReadersAtOnceEndWell) {
  for (int round = 0; round < 10; ++round) {
    const v1::Experiment experiment = Ended(kSingle);
    const std::string yaml = absl::StrCat(
        "project: digits\ntrain: {image: x, resources: {}, run: a, inputs: {m: ", experiment.uid(), "}}\n");
    std::atomic<int> deleted = 0, created = 0;
    const auto settled = [](const absl::Status& status) {
      return status.ok() || absl::IsNotFound(status) || HasReason(status, Reason::kInUse) ||
             HasReason(status, Reason::kExperimentDone);
    };
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
          const absl::Status status = Delete(key_, experiment.name());
          EXPECT_TRUE(settled(status)) << status;
          deleted += status.ok() ? 1 : 0;
        });
      threads.emplace_back([&] {
        for (int i = 0; i < 5; ++i) {
          const absl::Status read = api_->Get(key_, experiment.name()).status();
          EXPECT_TRUE(settled(read)) << read;
          const absl::Status killed = api_->Kill(key_, experiment.name()).status();
          EXPECT_TRUE(settled(killed)) << killed;
        }
      });
      threads.emplace_back([&] {
        const absl::Status made = api_->Create(key_, user_, yaml).status();
        EXPECT_TRUE(settled(made)) << made;
        created += made.ok() ? 1 : 0;
      });
    }
    EXPECT_LE(deleted, 1);
    EXPECT_EQ(deleted + created, 1) << "either the input or its reader is there";
  }
}

TEST_F(RemovalsTest, OthersMayNotDeleteAndARepeatedCallSucceeds) {
  const v1::Experiment experiment = Ended(kSingle);
  EXPECT_TRUE(absl::IsNotFound(Delete(api_->NewUser(user_ + "x"), experiment.name())));
  const std::string id = NewUuid();
  EXPECT_TRUE(Delete(key_, experiment.name(), id).ok());
  EXPECT_TRUE(Delete(key_, experiment.name(), id).ok());
}

}  // namespace
}  // namespace riseml::api
