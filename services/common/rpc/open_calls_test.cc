// Calls that end when their user may not go on with them.
#include "services/common/rpc/open_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

using internal::v1::Caller;
using testing::HasSubstr;

// Api, with one user. The watch is a thread of the test server for as long as it is open.
class FakeAccess final : public internal::v1::AccessService::Service {
 public:
  grpc::Status Authenticate(grpc::ServerContext*, const internal::v1::AuthenticateRequest*, Caller* response) override {
    MutexLock lock(mu_);
    ++asked_;
    changed_.notify_all();
    if (failure_.ok()) *response = caller_;
    return ToGrpc(failure_);
  }
  grpc::Status WatchAccess(grpc::ServerContext* context, const internal::v1::WatchAccessRequest*,
                           grpc::ServerWriter<internal::v1::WatchAccessResponse>* writer) override {
    if (!watchable_) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no such method");
    std::int64_t sent = -1;
    while (!context->IsCancelled()) {
      internal::v1::WatchAccessResponse response;
      {
        MutexLock lock(mu_);
        if (stopped_) break;
        response.set_generation(generation_);
        if (generation_ == sent) {
          changed_.wait_for(mu_, absl::ToChronoMilliseconds(absl::Milliseconds(20)));
          continue;
        }
      }
      if (!writer->Write(response)) break;
      sent = response.generation();
    }
    return grpc::Status::OK;
  }

  void Become(const absl::Status& failure, v1::User::Role role = v1::User::USER) {
    MutexLock lock(mu_);
    failure_ = failure;
    caller_.set_kind(Caller::USER);
    caller_.set_user("paul");
    caller_.set_role(role);
  }
  void Tell() {
    MutexLock lock(mu_);
    ++generation_;
    changed_.notify_all();
  }
  void Stop() {
    MutexLock lock(mu_);
    stopped_ = true;
    changed_.notify_all();
  }
  int asked() {
    MutexLock lock(mu_);
    return asked_;
  }
  void WaitForQuestions(int count) {
    MutexLock lock(mu_);
    changed_.wait(mu_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return asked_ >= count; });
  }
  Caller caller() {
    MutexLock lock(mu_);
    return caller_;
  }
  std::atomic<bool> watchable_ = true;

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  Caller caller_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::int64_t generation_ ABSL_GUARDED_BY(mu_) = 7;
  int asked_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

const absl::Status& Revoked() {
  static const auto* status = new absl::Status(Error(Reason::kUnauthenticated, "the API key is not valid"));
  return *status;
}

// A call that is open, and what becomes of it.
class OpenCall {
 public:
  OpenCall(OpenCalls& calls, const Call& call)
      : handle(calls.Enter(call, {.end = [this](const absl::Status& why) { Set([&] { end_ = why; }); },
                                  .cancel = [this] { Set([this] { cancelled_ = true; }); }})) {}
  // Waits for the end.
  absl::Status End() {
    Wait([this] { return end_.has_value(); });
    MutexLock lock(mu_);
    return *end_;
  }
  void WaitUntilCancelled() {
    Wait([this] { return cancelled_; });
  }
  bool has_ended() {
    MutexLock lock(mu_);
    return end_.has_value();
  }

 private:
  template <class Body>
  void Set(Body&& body) {
    MutexLock lock(mu_);
    body();
    changed_.notify_all();
  }
  template <class Condition>
  void Wait(Condition&& condition) {
    MutexLock lock(mu_);
    changed_.wait(mu_, condition);
  }
  Mutex mu_;
  std::condition_variable_any changed_;
  std::optional<absl::Status> end_;
  bool cancelled_ = false;

 public:
  OpenCalls::Handle handle;  // last: hooks use the rest
};

class OpenCallsTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-open-calls-XXXXXX";
    dir_ = mkdtemp(pattern);
    ASSERT_TRUE(WriteCertificates(dir_, {"api", "loghandler"}, clock_.Now()).ok());
    api_.Become(absl::OkStatus());
    ServerOptions options;
    options.kind = ListenerKind::kInternal;
    options.listener.set_address("127.0.0.1:0");
    options.listener.set_certificate_file(dir_ + "/api.crt");
    options.listener.set_key_file(dir_ + "/api.key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.services = {&api_};
    server_ = *Server::Start(std::move(options));
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/loghandler.crt");
    tls.set_key_file(dir_ + "/loghandler.key");
    channel_ = *ServiceChannel("127.0.0.1:" + std::to_string(server_->port()), tls);
    authenticator_.emplace(channel_, clock_);
    call_.credential = "key";
    call_.caller = api_.caller();
  }
  void TearDown() override {
    calls_.reset();
    api_.Stop();
    server_.reset();
    std::filesystem::remove_all(dir_);
  }
  OpenCalls& Start() { return calls_.emplace(*authenticator_, channel_, clock_); }

  SystemClock clock_;
  std::string dir_;
  FakeAccess api_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::optional<RemoteAuthenticator> authenticator_;
  std::optional<OpenCalls> calls_;
  Call call_;
};

TEST_F(OpenCallsTest, ARevokedKeyEndsItsCalls) {
  OpenCall one(Start(), call_), two(*calls_, call_);
  api_.WaitForQuestions(1);
  EXPECT_TRUE(one.handle.status().ok());
  api_.Become(Revoked());
  api_.Tell();
  for (OpenCall* call : {&one, &two}) {
    const absl::Status end = call->End();
    EXPECT_TRUE(HasReason(end, Reason::kUnauthenticated));
    EXPECT_THAT(std::string(end.message()), HasSubstr("this call ends"));
    EXPECT_EQ(call->handle.status(), end);
  }
}

TEST_F(OpenCallsTest, OnlyALoweredRoleEndsCalls) {
  OpenCall call(Start(), call_);
  api_.Become(absl::OkStatus(), v1::User::ADMIN);
  const int asked = api_.asked();
  api_.Tell();
  api_.WaitForQuestions(asked + 1);
  EXPECT_TRUE(call.handle.status().ok());
  api_.Become(absl::OkStatus(), v1::User::VIEWER);
  api_.Tell();
  const absl::Status end = call.End();
  EXPECT_TRUE(HasReason(end, Reason::kPermissionDenied));
  EXPECT_THAT(std::string(end.message()), HasSubstr("role VIEWER now"));
}

TEST_F(OpenCallsTest, AnApiThatTellsNothingIsAskedAgainAndAgain) {
  api_.watchable_ = false;
  OpenCall call(Start(), call_);
  api_.WaitForQuestions(2);
  EXPECT_TRUE(call.handle.status().ok());
  api_.Become(Revoked());
  EXPECT_FALSE(call.End().ok());
}

TEST_F(OpenCallsTest, NoAnswerEndsNothing) {
  OpenCall call(Start(), call_);
  api_.WaitForQuestions(1);
  api_.Become(absl::InternalError("the database is broken"));
  const int asked = api_.asked();
  api_.Tell();
  api_.WaitForQuestions(asked + 2);
  EXPECT_TRUE(call.handle.status().ok());
  api_.Become(Revoked());  // nobody has to be told: the question is still open
  EXPECT_FALSE(call.End().ok());
}

TEST_F(OpenCallsTest, AnApiThatIsAwayIsAskedAboutOneCallAtATime) {
  Start();
  api_.Become(absl::UnavailableError("the database is away"));
  std::deque<OpenCall> open;
  for (int i = 0; i < 20; ++i) {
    call_.credential = absl::StrCat("key", i);
    open.emplace_back(*calls_, call_);
  }
  api_.WaitForQuestions(1);
  calls_.reset();  // waits for the question under way, and for no other
  EXPECT_LE(api_.asked(), 2 * CallOptions().tries);
}

TEST_F(OpenCallsTest, AChangeBeforeTheCallWasKnownIsNoticed) {
  Start();
  api_.Become(Revoked());
  OpenCall call(*calls_, call_);
  EXPECT_FALSE(call.End().ok());
}

TEST_F(OpenCallsTest, ACallThatWaitsForItsClientIsCancelled) {
  OpenCall call(Start(), call_);
  api_.WaitForQuestions(1);
  api_.Become(Revoked());
  api_.Tell();
  call.WaitUntilCancelled();
  EXPECT_FALSE(call.handle.status().ok());
}

TEST_F(OpenCallsTest, ACallThatIsOverHearsNothing) {
  OpenCall over(Start(), call_), open(*calls_, call_);
  over.handle.Release();
  api_.Become(Revoked());
  api_.Tell();
  EXPECT_FALSE(open.End().ok());
  EXPECT_FALSE(over.has_ended());
}

}  // namespace
}  // namespace riseml::rpc
