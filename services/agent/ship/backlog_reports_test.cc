// Reports to api about a log that waits to be stored.
#include "services/agent/ship/backlog_reports.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/ship/shipping_fixture.h"
#include "services/agent/testing.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;

// A call that stores everything at once, while the log handler is not away.
class PromptCall final : public LogCall {
 public:
  PromptCall(std::int64_t acknowledged, const std::atomic<bool>& away, std::function<void()> on_change)
      : away_(away), on_change_(std::move(on_change)) {
    progress_.expected_offset = acknowledged;
  }
  bool CanSend() override { return !away_; }
  void Send(const v1::IngestRequest& request) override {
    progress_.complete = request.has_end();
    if (request.has_block()) progress_.expected_offset = request.block().first_offset() + request.block().raw_length();
    ++progress_.answers;
    on_change_();
  }
  IngestProgress Progress() override {
    if (away_) progress_.over = absl::UnavailableError("away");
    return progress_;
  }

 private:
  const std::atomic<bool>& away_;
  const std::function<void()> on_change_;
  IngestProgress progress_;
};

class PromptTransport final : public LogTransport {
 public:
  explicit PromptTransport(const std::atomic<bool>& away) : away_(away) {}
  std::unique_ptr<LogCall> Open(std::int64_t acknowledged, std::function<void()> on_change) override {
    if (away_) return std::make_unique<FailedCall>(absl::UnavailableError("away"));
    return std::make_unique<PromptCall>(acknowledged, away_, std::move(on_change));
  }

 private:
  const std::atomic<bool>& away_;
};

class BacklogTest : public ShippingTest {
 protected:
  BacklogTest() { options_.backlog = {absl::Milliseconds(200), absl::Milliseconds(20), absl::Milliseconds(20)}; }
  ~BacklogTest() override { StopShipping(); }  // before `away_`

  void StartShipping() {
    StartShipper(std::make_unique<PromptTransport>(away_),
                 [](const google::protobuf::Struct&, std::int64_t) { return absl::OkStatus(); });
  }
  bool Shows(std::int64_t bytes) {
    return Eventually([&] { return ShownBacklog().has_value() && ShownBacklog()->bytes == bytes; });
  }

  std::atomic<bool> away_ = false;
};

TEST_F(BacklogTest, WhatWaitsIsToldAndThatItIsOver) {
  away_ = true;
  StartShipping();
  const absl::Time begin = clock_.Now();
  Print("hello");
  ASSERT_TRUE(Shows(5));
  const absl::Time oldest = ShownBacklog()->oldest;
  EXPECT_GE(oldest, begin);
  EXPECT_LE(oldest, clock_.Now() - options_.backlog.patience);
  Print(", world");
  ASSERT_TRUE(Shows(12));
  EXPECT_EQ(ShownBacklog()->oldest, oldest);
  away_ = false;
  EXPECT_TRUE(Eventually([&] { return !ShownBacklog().has_value(); }));
  End();
  WaitForShipper();
}

TEST_F(BacklogTest, AnEndThatWaitsIsToldToo) {
  away_ = true;
  StartShipping();
  End();
  ASSERT_TRUE(Shows(0));
  away_ = false;
  WaitForShipper();
  EXPECT_FALSE(ShownBacklog().has_value());
}

TEST_F(BacklogTest, BytesThatDidNotFitAreToldAsLost) {
  options_.unshipped_limit = kBlockBytes;
  away_ = true;
  StartShipping();
  Print(std::string(10 * kBlockBytes, 'x'));
  ASSERT_TRUE(Eventually([&] { return ShownBacklog().has_value(); }));
  EXPECT_LE(ShownBacklog()->bytes, kBlockBytes);
  EXPECT_EQ(ShownBacklog()->bytes + ShownBacklog()->lost_bytes, 10 * kBlockBytes);
}

TEST_F(BacklogTest, AShipperTellsTheEndOfWhatTheOneBeforeHasTold) {
  away_ = true;
  StartShipping();
  Print("hello");
  ASSERT_TRUE(Shows(5));
  ASSERT_TRUE(Eventually([&] {
    const auto state = ReadMessage<internal::v1::ShipState>(dir_.shipped());
    return state.ok() && state->told_backlog();
  }));
  StopShipping();
  ASSERT_TRUE(ShownBacklog().has_value());
  away_ = false;
  StartShipping();
  EXPECT_TRUE(Eventually([&] { return !ShownBacklog().has_value(); }));
}

TEST_F(BacklogTest, AShortWaitIsNotWorthAWord) {
  options_.backlog.patience = absl::Minutes(1);
  away_ = true;
  StartShipping();
  Print("hello");
  away_ = false;
  End();
  WaitForShipper();
  EXPECT_EQ(BacklogReportCount(), 0U);
}

TEST(BacklogReportsTest, AFailedReportIsRepeatedAndARefusedOneIsNot) {
  std::atomic<int> calls = 0;
  const absl::Status answers[] = {absl::UnavailableError("away"), absl::OkStatus(), absl::NotFoundError("deleted")};
  BacklogReports reports([&](const std::optional<Backlog>&) { return answers[std::min(calls++, 2)]; },
                         {absl::ZeroDuration(), absl::ZeroDuration(), absl::Milliseconds(1)}, /*told=*/false);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  reports.Note(Backlog{.bytes = 5, .oldest = now}, now);
  EXPECT_TRUE(Eventually([&] { return calls == 2; }));
  EXPECT_TRUE(reports.told());
  reports.Note(std::nullopt, now);
  EXPECT_TRUE(Eventually([&] { return calls == 3 && !reports.told(); }));
}

}  // namespace
}  // namespace riseml::agent
