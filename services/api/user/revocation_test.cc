// Open streams of users who were disabled, whose key was revoked or whose role was lowered: told at once, and ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "riseml/internal/v1/access.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;

class RevocationTest : public ApiTestBase {
 protected:
  // A watch of an experiment that has told everything there is and now waits.
  struct OpenWatch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchExperimentResponse>> reader;
    absl::Status End() {
      v1::WatchExperimentResponse response;
      while (reader->Read(&response)) {
      }
      return rpc::FromGrpc(reader->Finish());
    }
  };
  std::unique_ptr<OpenWatch> Watch(const std::shared_ptr<grpc::Channel>& channel, const std::string& experiment,
                                   const std::function<void(grpc::ClientContext&)>& prepare) {
    auto watch = std::make_unique<OpenWatch>();
    prepare(watch->context);
    v1::WatchExperimentRequest request;
    request.set_name(experiment);
    watch->reader = v1::ExperimentService::NewStub(channel)->WatchExperiment(&watch->context, request);
    v1::WatchExperimentResponse response;
    do {
      EXPECT_TRUE(watch->reader->Read(&response));
    } while (!response.has_synced() && !testing::Test::HasFailure());
    return watch;
  }
  // No deadline: only the change of the user ends it.
  std::unique_ptr<OpenWatch> WatchWith(const std::string& key, const std::string& experiment) {
    return Watch(api_->UserChannel(), experiment,
                 [&](grpc::ClientContext& context) { rpc::Prepare(context, absl::InfiniteDuration(), "w", key); });
  }
  std::unique_ptr<v1::UserService::Stub> Users() { return v1::UserService::NewStub(api_->UserChannel()); }
  void Disable(const std::string& user) {
    v1::DisableUserRequest request;
    request.set_name("users/" + user);
    const auto disabled = rpc::Invoke<v1::User>([&](auto* c, auto* r) { return Users()->DisableUser(c, request, r); },
                                                {.credential = api_->admin_key()});
    EXPECT_TRUE(disabled.ok()) << disabled.status();
  }
  void SetRole(const std::string& user, v1::User::Role role) {
    v1::UpdateUserRequest request;
    request.set_name("users/" + user);
    request.set_role(role);
    const auto updated = rpc::Invoke<v1::User>([&](auto* c, auto* r) { return Users()->UpdateUser(c, request, r); },
                                               {.credential = api_->admin_key()});
    EXPECT_TRUE(updated.ok()) << updated.status();
  }
};

TEST_F(RevocationTest, DisablingAUserEndsTheWatch) {
  const auto watch = WatchWith(key_, Create(kSingle).name());
  Disable(user_);
  const absl::Status end = watch->End();
  EXPECT_TRUE(HasReason(end, Reason::kUnauthenticated)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("this call ends: its API key is not valid any more"));
}

TEST_F(RevocationTest, ARotatedKeyEndsTheWatch) {
  const auto watch = WatchWith(key_, Create(kSingle).name());
  v1::RotateApiKeyRequest request;
  request.set_name("users/" + user_);
  ASSERT_TRUE(rpc::Invoke<v1::RotateApiKeyResponse>(
                  [&](auto* c, auto* r) { return Users()->RotateApiKey(c, request, r); }, {.credential = key_})
                  .ok());
  EXPECT_TRUE(HasReason(watch->End(), Reason::kUnauthenticated));
}

TEST_F(RevocationTest, AnAdminWhoIsNoneAnyMoreSeesNothingMoreOfOthers) {
  const std::string boss = api_->NewUser("boss", v1::User::ADMIN);
  const auto watch = WatchWith(boss, Create(kSingle).name());
  SetRole("boss", v1::User::USER);
  const absl::Status end = watch->End();
  EXPECT_TRUE(HasReason(end, Reason::kPermissionDenied)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("it began with role ADMIN, and you have role USER now"));
}

TEST_F(RevocationTest, AWatchThatAServiceHoldsForAUserEndsAsWell) {
  const auto watch = Watch(api_->ServiceChannel("web"), Create(kSingle).name(), [&](grpc::ClientContext& context) {
    context.AddMetadata(rpc::kOnBehalfOfKey, "users/" + user_);
  });
  Disable(user_);
  EXPECT_TRUE(HasReason(watch->End(), Reason::kUnauthenticated));
}

TEST_F(RevocationTest, OtherServicesAreTold) {
  const auto stub = internal::v1::AccessService::NewStub(api_->ServiceChannel("loghandler"));
  grpc::ClientContext context;
  const auto reader = stub->WatchAccess(&context, {});
  internal::v1::WatchAccessResponse first, next;
  ASSERT_TRUE(reader->Read(&first));
  SetRole(user_, v1::User::VIEWER);
  do {
    ASSERT_TRUE(reader->Read(&next));
  } while (next.generation() == first.generation());
  EXPECT_GT(next.generation(), first.generation());
  // An open stream does not hold up the end of api.
  api_->Restart();
  const absl::Status end = rpc::FromGrpc(reader->Finish());
  EXPECT_TRUE(HasReason(end, Reason::kShuttingDown)) << end;
  EXPECT_NE(RetryDelayOf(end), std::nullopt);
}

}  // namespace
}  // namespace riseml::api
