// A state that only a newer version knows, as after a downgrade: its row is in trouble, nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>

#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;

using UnknownStateTest = ApiTestBase;

TEST_F(UnknownStateTest, IsAnErrorOfItsJobAndOfNoOther) {
  const v1::Experiment strange = Create(kSingle), other = Create(kSingle);
  const std::string uid = strange.jobs(0).uid();
  {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    tx.exec("ALTER TABLE jobs DROP CONSTRAINT jobs_state_check");
    tx.exec_params("UPDATE jobs SET state = 'DREAMING' WHERE uid = $1", uid);
    tx.commit();
  }
  const absl::Status refused = api_->Place(uid).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the state 'DREAMING', which only a newer riseml-api knows"));
  EXPECT_EQ(Get(strange.name()).jobs(0).state(), v1::Job::STATE_UNSPECIFIED);

  const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
  grpc::ClientContext context;
  const auto watch = stub->WatchWork(&context, {});
  internal::v1::WatchWorkResponse response;
  std::vector<std::string> listed;
  while (!response.synced() && watch->Read(&response))
    for (const internal::v1::Work& work : response.work()) listed.push_back(work.job_uid());
  context.TryCancel();
  EXPECT_THAT(listed, testing::ElementsAre(other.jobs(0).uid()));
  api_->RunToEnd(other.jobs(0).uid());
  EXPECT_EQ(Get(other.name()).state(), v1::Experiment::FINISHED);
}

}  // namespace
}  // namespace riseml::api
