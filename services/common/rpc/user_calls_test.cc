#include "services/common/rpc/user_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <vector>

#include "services/common/base/status.h"

namespace riseml::rpc {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kAtOnce = absl::ZeroDuration();

internal::v1::Caller CallerOf(const std::string& user, internal::v1::Caller::Kind kind = internal::v1::Caller::USER) {
  internal::v1::Caller caller;
  caller.set_kind(kind);
  caller.set_user(user);
  return caller;
}

TEST(UserCallsTest, AnotherUserHasPlacesWhenOneHasTakenAllOfHis) {
  UserCalls calls({.running = 2});
  std::vector<absl::StatusOr<UserCalls::Permit>> permits;
  for (int i = 0; i < 2; ++i) {
    permits.push_back(calls.Enter(CallerOf("mallory"), kAtOnce));
    ASSERT_TRUE(permits.back().ok()) << permits.back().status();
  }
  EXPECT_EQ(calls.Enter(CallerOf("mallory"), kAtOnce).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(calls.Enter(CallerOf("mallory", internal::v1::Caller::JOB), kAtOnce).ok()) << "his jobs have their own";
  EXPECT_TRUE(calls.Enter(CallerOf("paul"), kAtOnce).ok());
  EXPECT_TRUE(calls.Enter(CallerOf("", internal::v1::Caller::SERVICE), kAtOnce).ok());
  permits.pop_back();
  EXPECT_TRUE(calls.Enter(CallerOf("mallory"), kAtOnce).ok());
}

TEST(UserCallsTest, ACallWaitsUntilOneBeforeItEnds) {
  UserCalls calls({.running = 1, .waiting = 1});
  auto first = std::make_optional(calls.Enter(CallerOf("paul"), kAtOnce));
  ASSERT_TRUE(first->ok());
  auto second =
      std::async(std::launch::async, [&] { return calls.Enter(CallerOf("paul"), absl::InfiniteDuration()).status(); });
  // The third is refused as soon as the second waits.
  absl::Status third;
  do {
    third = calls.Enter(CallerOf("paul"), kAtOnce).status();
  } while (third.code() == absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(HasReason(third, Reason::kLimitExceeded)) << third;
  EXPECT_TRUE(RetryDelayOf(third).has_value());
  EXPECT_THAT(std::string(third.message()), HasSubstr("user paul"));
  first.reset();
  EXPECT_TRUE(second.get().ok());
}

TEST(UserCallsTest, SerialCallsOfAUserRunOneAfterTheOther) {
  UserCalls calls({.running = 1});
  auto serial = std::make_optional(calls.EnterSerial(CallerOf("mallory"), kAtOnce));
  ASSERT_TRUE(serial->ok()) << serial->status();
  EXPECT_EQ(calls.EnterSerial(CallerOf("mallory"), kAtOnce).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(calls.EnterSerial(CallerOf("paul"), kAtOnce).ok());
  const auto other = calls.Enter(CallerOf("mallory"), kAtOnce);
  EXPECT_TRUE(other.ok()) << "another call does not wait for it: " << other.status();
  auto next = std::async(std::launch::async,
                         [&] { return calls.EnterSerial(CallerOf("mallory"), absl::InfiniteDuration()).status(); });
  EXPECT_EQ(next.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  serial.reset();
  EXPECT_TRUE(next.get().ok());
}

TEST(UserCallsTest, StreamsHaveABoundOfTheirOwn) {
  UserCalls calls({.running = 1, .streams = 2});
  auto call = calls.Enter(CallerOf("mallory"), kAtOnce);
  auto first = calls.EnterStream(CallerOf("mallory"));
  auto second = calls.EnterStream(CallerOf("mallory"));
  ASSERT_TRUE(call.ok() && first.ok() && second.ok());
  const absl::Status third = calls.EnterStream(CallerOf("mallory")).status();
  EXPECT_TRUE(HasReason(third, Reason::kLimitExceeded)) << third;
  EXPECT_TRUE(RetryDelayOf(third).has_value());
  EXPECT_TRUE(calls.EnterStream(CallerOf("paul")).ok());
  first = absl::CancelledError();
  EXPECT_TRUE(calls.EnterStream(CallerOf("mallory")).ok());
}

}  // namespace
}  // namespace riseml::rpc
