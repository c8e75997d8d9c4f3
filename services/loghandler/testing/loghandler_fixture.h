// A whole log handler over TLS, with an api that a test controls.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/rpc/certificates.h"
#include "services/loghandler/loghandler.h"
#include "services/loghandler/testing/fake_api.h"
#include "services/loghandler/testing/test_client.h"
#include "services/loghandler/testing/test_options.h"

namespace riseml::loghandler {

inline constexpr char kRoot[] = "users/paul/experiments/14";
inline constexpr char kKey[] = "paul-key";

class LogHandlerTest : public testing::Test {
 protected:
  LogHandlerTest() {
    EXPECT_TRUE(rpc::WriteCertificates(dir_.path(), {"api", "loghandler"}, clock_.Now()).ok());
    api_ = std::make_unique<FakeApi>(dir_.path());
    api_->AddUser(kKey);
    api_->AddUser("other-key");
    api_->AddRoot(kRoot, kKey);
    options_.store.dir = dir_.path() + "/data";
    options_.follow.tick = absl::Milliseconds(10);
    options_.registry.sweep = absl::Milliseconds(20);
  }
  void SetUp() override { Start(); }
  void TearDown() override {
    handler_.reset();
    api_.reset();
  }

  void Start() {
    SetConnections(options_, dir_.path(), api_->address());
    handler_.reset();
    metrics_ = std::make_unique<prometheus::Registry>();
    absl::StatusOr<std::unique_ptr<LogHandler>> handler = LogHandler::Start(options_, clock_, *metrics_);
    ASSERT_TRUE(handler.ok()) << handler.status();
    handler_ = *std::move(handler);
    stub_ = v1::LogService::NewStub(
        rpc::UserChannel(absl::StrCat("127.0.0.1:", handler_->port()), *ReadFile(dir_.path() + "/ca.crt", 1 << 20)));
  }

  bool Ship(const StreamId& id, const std::string& log) {
    return ShipLog(*stub_, id, FakeApi::TokenOf(id), log, random_);
  }
  TestReader Follow(const v1::FollowRequest& request = FollowFor(kRoot)) { return TestReader(*stub_, kKey, request); }
  absl::Status FollowStatus(const v1::FollowRequest& request, const std::string& key = kKey) {
    return TestReader(*stub_, key, request).Finish();
  }

  TempDir dir_;
  const SystemClock clock_;
  std::mt19937 random_{42};
  LogHandlerOptions options_;
  std::unique_ptr<FakeApi> api_;
  std::unique_ptr<prometheus::Registry> metrics_;
  std::unique_ptr<LogHandler> handler_;
  std::unique_ptr<v1::LogService::Stub> stub_;
};

}  // namespace riseml::loghandler
