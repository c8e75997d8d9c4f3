#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "riseml/internal/v1/access.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"
#include "services/common/base/status.h"
#include "services/common/rpc/authorization.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/server.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

using internal::v1::Caller;

constexpr int kMeeting = 40;  // more than gRPC's own pool begins threads for within the time

class EventEngineEnvironment final : public testing::Environment {
  void SetUp() override { InstallEventEngine(); }
};
const auto* const kEventEngine = testing::AddGlobalTestEnvironment(new EventEngineEnvironment());

class FakeAuthenticator final : public Authenticator {
 public:
  absl::StatusOr<Caller> Authenticate(absl::string_view credential) override {
    Caller caller;
    caller.set_kind(Caller::USER);
    if (credential == "viewer")
      caller.set_role(v1::User::VIEWER);
    else if (credential == "admin" || credential == "slow" || credential == "meeting")
      caller.set_role(v1::User::ADMIN);
    else
      return Error(Reason::kUnauthenticated, "unknown key");
    caller.set_user(std::string(credential));
    if (credential == "slow") go.WaitForNotification();
    if (credential == "meeting") {
      if (++met == kMeeting) all_met.Notify();
      if (!all_met.WaitForNotificationWithTimeout(absl::Seconds(15)))
        return absl::InternalError(absl::StrCat("only ", met.load(), " are asked for at once"));
    }
    return caller;
  }
  absl::Notification go;  // "slow" is checked until then
  std::atomic<int> met = 0;
  absl::Notification all_met;  // "meeting" is checked until all of them are
};

class Users final : public v1::UserService::Service {
 public:
  grpc::Status GetCaller(grpc::ServerContext* context, const v1::GetCallerRequest*, v1::User* response) override {
    return Unary(context, "riseml.v1.UserService/GetCaller", [&](const Call& call) {
      ++handled;
      response->set_name("users/" + call.caller.user());
      response->set_email(call.request_id);
      response->set_uid(call.peer);
      return absl::OkStatus();
    });
  }
  grpc::Status DisableUser(grpc::ServerContext* context, const v1::DisableUserRequest*, v1::User*) override {
    return Unary(context, "riseml.v1.UserService/DisableUser",
                 [&](const Call&) { return failures-- > 0 ? failure() : absl::OkStatus(); });
  }
  absl::Status failure() {
    MutexLock lock(mu_);
    return failure_;
  }
  void FailWith(absl::Status failure) {
    MutexLock lock(mu_);
    failure_ = std::move(failure);
  }
  std::atomic<int> handled = 0;
  std::atomic<int> failures = 1'000;  // of DisableUser, then it succeeds

 private:
  Mutex mu_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_) = Error(Reason::kLastAdmin, "the last admin must stay");
};

class Access final : public internal::v1::AccessService::Service {
 public:
  grpc::Status Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest*,
                            Caller* response) override {
    return Unary(context, "riseml.internal.v1.AccessService/Authenticate", [&](const Call& call) {
      *response = call.caller;
      return absl::OkStatus();
    });
  }
};

class RpcTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-rpc-XXXXXX";
    dir_ = mkdtemp(pattern);
    ASSERT_TRUE(WriteCertificates(dir_, {"api", "gitsync", "scheduler", "web"}, SystemClock().Now()).ok());
    user_ = Start(ListenerKind::kUser, {&users_, &access_});
    internal_ = Start(ListenerKind::kInternal, {&access_, &users_});
    stub_ = v1::UserService::NewStub(UserChannel(Address(*user_), *ReadFile(dir_ + "/ca.crt", 1 << 20)));
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<Server> Start(ListenerKind kind, std::vector<grpc::Service*> services,
                                const std::string& address = "127.0.0.1:0") {
    ServerOptions options;
    options.kind = kind;
    options.listener.set_address(address);
    options.listener.set_certificate_file(dir_ + "/api.crt");
    options.listener.set_key_file(dir_ + "/api.key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.authenticator = &authenticator_;
    options.services = std::move(services);
    auto server = Server::Start(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  static std::string Address(const Server& server) { return "127.0.0.1:" + std::to_string(server.port()); }

  config::v1::ClientTls TlsOf(const std::string& service) {
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/" + service + ".crt");
    tls.set_key_file(dir_ + "/" + service + ".key");
    return tls;
  }
  absl::StatusOr<v1::User> GetCaller(const std::string& credential) {
    return Invoke<v1::User>([&](auto* c, auto* r) { return stub_->GetCaller(c, v1::GetCallerRequest(), r); },
                            {.request_id = "request-7", .credential = credential});
  }

  std::string dir_;
  FakeAuthenticator authenticator_;
  Users users_;
  Access access_;
  std::unique_ptr<Server> user_, internal_;
  std::unique_ptr<v1::UserService::Stub> stub_;
};

TEST_F(RpcTest, ValidCredentialReachesTheHandlerWithCallerAndRequestId) {
  const auto user = GetCaller("viewer");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->name(), "users/viewer");
  EXPECT_EQ(user->email(), "request-7");
}

TEST_F(RpcTest, NobodyWaitsUntilItIsKnownWhoOthersAre) {
  std::vector<std::jthread> callers;
  for (int i = 0; i < kMeeting; ++i)
    callers.emplace_back([this] {
      const auto user = GetCaller("meeting");
      EXPECT_TRUE(user.ok()) << user.status();
    });
}

TEST_F(RpcTest, AServerThatStartsBetweenTriesIsFound) {
  const std::string address = Address(*user_);
  user_->Shutdown(absl::ZeroDuration());
  user_.reset();
  const auto channel = UserChannel(address, *ReadFile(dir_ + "/ca.crt", 1 << 20));
  const auto stub = v1::UserService::NewStub(channel);
  int tries = 0;
  const auto user = Invoke<v1::User>(
      [&](auto* c, auto* r) {
        if (++tries == 3) user_ = Start(ListenerKind::kUser, {&users_}, address);
        return stub->GetCaller(c, v1::GetCallerRequest(), r);
      },
      {.tries = kPatientTries, .credential = "viewer", .channel = channel});
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->name(), "users/viewer");
}

TEST_F(RpcTest, ASocketIsServedWithoutTlsAndChecksCredentials) {
  ServerOptions options;
  options.listener.set_socket_address("unix:" + dir_ + "/socket");
  options.listener.set_certificate_file(dir_ + "/api.crt");
  options.listener.set_key_file(dir_ + "/api.key");
  options.authenticator = &authenticator_;
  options.services = {&users_};
  const auto server = Server::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  stub_ = v1::UserService::NewStub(UserChannel(options.listener.socket_address(), "no certificate"));
  EXPECT_EQ(GetCaller("viewer")->name(), "users/viewer");
  EXPECT_EQ(GetCaller("guess").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(GetCaller("viewer")->uid(), "unix:");
  grpc::ClientContext context;
  Prepare(context, absl::Seconds(10), "r", "viewer");
  context.AddMetadata(kEdgePeerKey, "ipv4:192.0.2.7:1");
  v1::User response;
  EXPECT_TRUE(stub_->GetCaller(&context, {}, &response).ok());
  EXPECT_EQ(response.uid(), "ipv4:192.0.2.7:1");
}

TEST_F(RpcTest, AStreamThatEndsWithoutAStatusMayBeTriedAgain) {
  EXPECT_TRUE(IsTransient(FromGrpc(grpc::Status(grpc::StatusCode::UNKNOWN, "Stream removed"))));
  EXPECT_FALSE(IsTransient(FromGrpc(grpc::Status(grpc::StatusCode::UNKNOWN, "a bug"))));
}

TEST_F(RpcTest, OnlyTheEdgeNamesThePeerOfACall) {
  grpc::ClientContext context;
  Prepare(context, absl::Seconds(10), "r", "viewer");
  context.AddMetadata(kEdgePeerKey, "ipv4:192.0.2.7:1");
  v1::User response;
  ASSERT_TRUE(stub_->GetCaller(&context, {}, &response).ok());
  EXPECT_THAT(response.uid(), testing::StartsWith("ipv4:127.0.0.1:"));
}

TEST_F(RpcTest, ServicesCallEachOtherOverSocketsWithCertificates) {
  const auto server = Start(ListenerKind::kInternal, {&access_}, "unix:" + dir_ + "/internal");
  const auto stub =
      internal::v1::AccessService::NewStub(*ServiceChannel("unix:" + dir_ + "/internal", TlsOf("gitsync")));
  const auto caller =
      Invoke<Caller>([&](auto* c, auto* r) { return stub->Authenticate(c, internal::v1::AuthenticateRequest(), r); });
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->service(), "gitsync");
}

TEST_F(RpcTest, ASocketOfRootBelongsToTheOwnerOfItsDirectory) {
  if (geteuid() != 0) GTEST_SKIP() << "only root makes sockets for others";
  constexpr uid_t kNobody = 65534;
  const std::string directory = dir_ + "/run", socket = directory + "/internal";
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  ASSERT_EQ(chown(directory.c_str(), kNobody, kNobody), 0);
  const auto server = Start(ListenerKind::kInternal, {&access_}, "unix:" + socket);
  struct stat info {};
  ASSERT_EQ(stat(socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kNobody);
}

TEST_F(RpcTest, CallersOnOneConnectionAreKeptApart) {
  EXPECT_EQ(GetCaller("viewer")->name(), "users/viewer");
  EXPECT_EQ(GetCaller("admin")->name(), "users/admin");
  EXPECT_EQ(GetCaller("viewer")->name(), "users/viewer");
}

TEST_F(RpcTest, NoOrUnknownCredentialIsUnauthenticated) {
  EXPECT_EQ(GetCaller("").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(GetCaller("guess").status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(RpcTest, WorkIsNotBegunAfterTheDeadline) {
  grpc::ClientContext context;
  Prepare(context, absl::Milliseconds(50), "r", "slow");
  v1::User response;
  EXPECT_EQ(stub_->GetCaller(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The server learns of the end before it hears of the next call on the same connection.
  EXPECT_EQ(GetCaller("viewer")->name(), "users/viewer");
  authenticator_.go.Notify();
  EXPECT_EQ(GetCaller("slow")->name(), "users/slow");
  user_->Shutdown(absl::Seconds(10));
  EXPECT_EQ(users_.handled, 2);
}

TEST_F(RpcTest, RoleIsChecked) {
  const auto disable = [&](const std::string& credential) {
    return Invoke<v1::User>([&](auto* c, auto* r) { return stub_->DisableUser(c, v1::DisableUserRequest(), r); },
                            {.credential = credential})
        .status();
  };
  EXPECT_EQ(disable("viewer").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(HasReason(disable("admin"), Reason::kLastAdmin)) << disable("admin");
}

TEST_F(RpcTest, ServicesAreKnownByTheirCertificateAndOnlyOnTheInternalListener) {
  const auto authenticate = [&](const Server& server, const std::string& service) {
    const auto channel = ServiceChannel(Address(server), TlsOf(service));
    const auto stub = internal::v1::AccessService::NewStub(*channel);
    return Invoke<Caller>(
        [&](auto* c, auto* r) { return stub->Authenticate(c, internal::v1::AuthenticateRequest(), r); });
  };
  const auto caller = authenticate(*internal_, "gitsync");
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->service(), "gitsync");
  EXPECT_EQ(authenticate(*internal_, "scheduler").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(authenticate(*user_, "gitsync").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(RpcTest, NobodyActsForUsersWhereTheListenerKnowsNone) {
  const auto stub = v1::UserService::NewStub(*ServiceChannel(Address(*internal_), TlsOf("web")));
  grpc::ClientContext context;
  context.AddMetadata(kOnBehalfOfKey, "users/admin");
  v1::User response;
  EXPECT_EQ(stub->GetCaller(&context, {}, &response).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(users_.handled, 0);
}

TEST_F(RpcTest, InternalListenerRefusesClientsWithoutCertificate) {
  const auto stub = v1::UserService::NewStub(UserChannel(Address(*internal_), *ReadFile(dir_ + "/ca.crt", 1 << 20)));
  const auto status = Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, v1::GetCallerRequest(), r); },
                                       {.timeout = absl::Seconds(2), .credential = "admin"})
                          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST_F(RpcTest, CompressedRequestsAreRefusedBeforeTheyAreInflated) {
  grpc::ClientContext context;
  Prepare(context, absl::Seconds(5), "r", "admin");
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::DisableUserRequest request;
  request.set_name(std::string(1 << 20, 'x'));
  v1::User response;
  EXPECT_EQ(stub_->DisableUser(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(RpcTest, ShutdownEndsAndIsIdempotent) {
  user_->Shutdown(absl::Milliseconds(100));
  user_->Shutdown(absl::Milliseconds(100));
  EXPECT_EQ(GetCaller("viewer").status().code(), absl::StatusCode::kUnavailable);
}

TEST(Status, SurvivesTheWireWithAllDetails) {
  absl::Status sent = WithMetadata(Error(Reason::kStale, "changed"), "etag", "abc");
  sent = WithMetadata(sent, "limit", 7);
  sent = WithRetryDelay(sent, absl::Milliseconds(1500));
  for (const std::string& field : {"b", "a", "train.run"}) sent = WithViolation(sent, field, field + " is wrong");
  // A hop between two services may add what it was doing.
  const absl::Status status = FromGrpc(ToGrpc(While("ask api", FromGrpc(ToGrpc(sent)))));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "ask api: changed");
  EXPECT_TRUE(HasReason(status, Reason::kStale));
  EXPECT_THAT(MetadataOf(status), testing::ElementsAre(testing::Pair("etag", "abc"), testing::Pair("limit", "7")));
  EXPECT_EQ(RetryDelayOf(status), absl::Milliseconds(1500));
  EXPECT_THAT(ViolationsOf(status),
              testing::ElementsAre(FieldViolation{"b", "b is wrong"}, FieldViolation{"a", "a is wrong"},
                                   FieldViolation{"train.run", "train.run is wrong"}));
}

TEST(Status, WithoutDetailsHasNone) {
  const absl::Status status = FromGrpc(ToGrpc(absl::InternalError("broken")));
  EXPECT_EQ(ReasonName(status), "");
  EXPECT_TRUE(MetadataOf(status).empty());
  EXPECT_TRUE(ViolationsOf(status).empty());
  EXPECT_EQ(RetryDelayOf(status), std::nullopt);
  EXPECT_TRUE(WithRetryDelay(WithViolation(absl::OkStatus(), "a", "b"), absl::Seconds(1)).ok());
}

TEST(Status, CutsALongMessageBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 3'000; ++i) text += "ä";
  const absl::Status status = FromGrpc(ToGrpc(absl::InternalError(text)));
  ASSERT_LT(status.message().size(), 1'100u);
  EXPECT_EQ(status.message().size() % 2, 0u) << "x, whole letters of two bytes, and three dots of three";
  EXPECT_EQ(status.message().substr(status.message().size() - 3), "…");
}

TEST_F(RpcTest, TooManyDetailsStillReachTheClient) {
  const auto failure = [&](const std::string& message) {
    absl::Status large = WithMetadata(Error(Reason::kLimitExceeded, message), "limit", 7);
    large = WithMetadata(large, "much", std::string(20'000, 'm'));
    for (int i = 0; i < 1'000; ++i) large = WithViolation(large, "field", std::string(2 * i, 'd'));
    users_.FailWith(large);
    const absl::Status status =
        Invoke<v1::User>([&](auto* c, auto* r) { return stub_->DisableUser(c, {}, r); }, {.credential = "admin"})
            .status();
    EXPECT_TRUE(HasReason(status, Reason::kLimitExceeded)) << status;
    EXPECT_THAT(MetadataOf(status), testing::ElementsAre(testing::Pair("limit", "7")));
    return ViolationsOf(status).size();
  };
  EXPECT_EQ(failure("short"), 64u);
  const std::size_t beside_a_long_message = failure(std::string(2'000, '\n'));
  EXPECT_GT(beside_a_long_message, 10u);
  EXPECT_LT(beside_a_long_message, 64u);
}

TEST_F(RpcTest, ADelayThatTheServerNamesIsWaitedFor) {
  users_.FailWith(WithRetryDelay(Error(Reason::kLimitExceeded, "too many readers"), absl::Milliseconds(1)));
  users_.failures = 2;
  const auto user =
      Invoke<v1::User>([&](auto* c, auto* r) { return stub_->DisableUser(c, {}, r); }, {.credential = "admin"});
  EXPECT_TRUE(user.ok()) << user.status();
  // One that is longer than the call may take ends it at once.
  users_.FailWith(WithRetryDelay(Error(Reason::kLimitExceeded, "too many readers"), absl::Hours(1)));
  users_.failures = 2;
  EXPECT_EQ(RetryDelayOf(Invoke<v1::User>([&](auto* c, auto* r) { return stub_->DisableUser(c, {}, r); },
                                          {.credential = "admin"})
                             .status()),
            absl::Hours(1));
  EXPECT_EQ(users_.failures, 1);
}

}  // namespace
}  // namespace riseml::rpc
