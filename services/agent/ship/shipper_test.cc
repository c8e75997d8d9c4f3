// The shipper against a server that breaks in every way, over TLS.

#include "services/agent/ship/shipper.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/ship/grpc_log_transport.h"
#include "services/agent/ship/shipping_fixture.h"
#include "services/agent/testing.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using namespace riseml::agent::testing;

constexpr char kToken[] = "token";

std::string RandomText(std::size_t bytes, unsigned seed) {
  std::minstd_rand random(seed);
  std::string text(bytes, ' ');
  for (char& c : text) c = static_cast<char>(random() % 256);
  return text;
}

class ShipperTest : public ShippingTest {
 protected:
  ~ShipperTest() override { StopShipping(); }  // before the suite that it calls

  void Report(const std::string& line) {
    const UniqueFd fd = *OpenFile(dir_.results(), O_WRONLY | O_APPEND);
    ASSERT_TRUE(riseml::WriteAll(fd.get(), line + "\n").ok());
  }

  void StartShipping() {
    auto transport = std::make_unique<GrpcLogTransport>([this]() -> absl::StatusOr<IngestEndpoint> {
      return IngestEndpoint{suite_.user_address(), suite_.ca_pem(), kToken};
    });
    jobs_ = v1::JobService::NewStub(rpc::UserChannel(suite_.user_address(), suite_.ca_pem()));
    const ReportResults report = [this](const google::protobuf::Struct& results, std::int64_t sequence) {
      v1::ReportResultsRequest request;
      *request.mutable_results() = results;
      request.set_sequence(sequence);
      return rpc::Invoke<v1::ReportResultsResponse>(
                 [&](grpc::ClientContext* context, v1::ReportResultsResponse* response) {
                   return jobs_->ReportResults(context, request, response);
                 },
                 {.tries = 1, .credential = kToken})
          .status();
    };
    StartShipper(std::move(transport), report);
  }
  void ExpectExactLog() {
    const FakeStream stream = suite_.logs.Of(kToken);
    EXPECT_TRUE(stream.bytes == printed_) << stream.bytes.size() << " bytes instead of " << printed_.size();
    EXPECT_EQ(stream.final_offset, static_cast<std::int64_t>(printed_.size()));
    EXPECT_EQ(stream.untimed_blocks, 0);
    EXPECT_TRUE(stream.gaps.empty());
    EXPECT_TRUE(ReadMessage<internal::v1::ShipState>(dir_.shipped())->complete());
  }
  bool HasArrived(std::size_t bytes) {
    return Eventually([&] { return suite_.logs.Of(kToken).bytes.size() >= bytes; });
  }

  FakeSuite suite_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
};

TEST_F(ShipperTest, ShipsWhatIsPrintedWhileItIsPrinted) {
  StartShipping();
  for (int i = 0; i < 20; ++i) {
    Print(absl::StrCat("line ", i, "\n"));
    ASSERT_TRUE(HasArrived(printed_.size())) << "before the next line";
  }
  End();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, Case08HiddenValuesBecomeAsterisksOfTheSameLength) {
  options_.hidden = {"hunter2", "a-much-longer-value"};
  StartShipping();
  Print("key=hunter2\n");
  ASSERT_TRUE(HasArrived(printed_.size()));
  Print("in two parts: hun");
  ASSERT_TRUE(HasArrived(printed_.size() - 3)) << "what may begin a value waits";
  Print("ter2, and a false start: hunt\n");
  ASSERT_TRUE(HasArrived(printed_.size()));
  // Across the limits of blocks, wherever they are.
  for (int i = 0; i < 20'000; ++i) Print(absl::StrCat(i, " a-much-longer-value\n"));
  Print("hunte");
  End();
  WaitForShipper();
  const std::string bytes = suite_.logs.Of(kToken).bytes;
  EXPECT_EQ(bytes.size(), printed_.size());
  EXPECT_EQ(bytes, logtext::Masker(options_.hidden).Mask(printed_));
  EXPECT_EQ(bytes.find("longer"), std::string::npos);
  EXPECT_TRUE(absl::StrContains(bytes, "in two parts: *******, and a false start: hunt\n"));
}

TEST_F(ShipperTest, ShipsAnEmptyLog) {
  End();
  StartShipping();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, ShipsBytesOfAnyKind) {
  Print(RandomText(3'000'000, 1));
  Print(std::string(3'000'000, 'x'));
  End();
  StartShipping();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, LosesAndRepeatsNothingWhenCallsBreak) {
  suite_.logs.BreakCallsAfter(3, false);
  StartShipping();
  for (int i = 0; i < 50; ++i) Print(RandomText(20'000, i));
  End();
  WaitForShipper();
  EXPECT_GT(suite_.logs.calls(), 3);
  ExpectExactLog();
}

TEST_F(ShipperTest, LosesAndRepeatsNothingWhenAnswersAreLost) {
  suite_.logs.BreakCallsAfter(3, true);
  StartShipping();
  for (int i = 0; i < 50; ++i) Print(RandomText(20'000, i));
  End();
  WaitForShipper();
  EXPECT_GT(suite_.logs.calls(), 3);
  ExpectExactLog();
}

TEST_F(ShipperTest, WaitsForAServerThatIsAway) {
  suite_.StopUserListener();
  StartShipping();
  Print("first\n");
  Report("{\"a\":1}");
  End();
  suite_.StartUserListener();
  WaitForShipper();
  ExpectExactLog();
  EXPECT_THAT(suite_.jobs.Of(kToken), UnorderedElementsAre(Pair("a", "1")));
}

TEST_F(ShipperTest, GoesOnWhenTheServerDiesAndComesBack) {
  StartShipping();
  for (int round = 0; round < 5; ++round) {
    Print(RandomText(500'000, round));
    if (round % 2 == 0) {
      ASSERT_TRUE(HasArrived(printed_.size() / 2));
    }
    suite_.StopUserListener();
    Print(RandomText(100'000, 100 + round));
    suite_.StartUserListener();
  }
  End();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, GoesOnAfterItsOwnDeath) {
  for (int round = 0; round < 5; ++round) {
    StartShipping();
    Print(RandomText(300'000, round));
    ASSERT_TRUE(HasArrived(printed_.size() / 2));
    StopShipping();
    Print(RandomText(10'000, 100 + round));
  }
  End();
  StartShipping();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, GoesBackWhenTheServerHasLostBytes) {
  StartShipping();
  Print(RandomText(400'000, 1));
  ASSERT_TRUE(HasArrived(printed_.size()));
  suite_.StopUserListener();
  suite_.logs.CutTo(kToken, 123'456);
  suite_.StartUserListener();
  End();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, FreesWhatIsStoredAndSaysSoWhenItIsAskedForAgain) {
  StartShipping();
  Print(RandomText(20 << 20, 1));
  ASSERT_TRUE(HasArrived(printed_.size()));
  ASSERT_TRUE(Eventually([&] {
    struct stat log {};
    return stat(dir_.log().c_str(), &log) == 0 && log.st_blocks * 512 < 16 << 20;
  })) << "more than a window and a save step stays on the disk";
  StopShipping();
  const std::int64_t freed =
      ReadMessage<internal::v1::ShipState>(dir_.shipped())->acknowledged_offset() / (1 << 20) * (1 << 20);
  ASSERT_GT(freed, 1000);
  suite_.logs.CutTo(kToken, 1000);
  End();
  StartShipping();
  WaitForShipper();
  const FakeStream stream = suite_.logs.Of(kToken);
  EXPECT_THAT(stream.gaps, ElementsAre(Pair(1000, freed - 1000)));
  EXPECT_TRUE(stream.bytes.substr(0, 1000) == printed_.substr(0, 1000));
  EXPECT_TRUE(stream.bytes.substr(freed) == printed_.substr(freed));
  EXPECT_EQ(stream.final_offset, static_cast<std::int64_t>(printed_.size()));
}

TEST_F(ShipperTest, DropsTheOldestBytesBeyondTheLimitAsAnExactGap) {
  options_.unshipped_limit = 1 << 20;
  suite_.StopUserListener();
  Print(RandomText(3 << 20, 1));
  StartShipping();
  ASSERT_TRUE(Eventually([&] {
    const auto state = ReadMessage<internal::v1::ShipState>(dir_.shipped());
    return state.ok() && state->dropped_offset() > 0;
  }));
  const std::int64_t dropped = ReadMessage<internal::v1::ShipState>(dir_.shipped())->dropped_offset();
  EXPECT_GE(dropped, 2 << 20);
  suite_.StartUserListener();
  End();
  WaitForShipper();
  const FakeStream stream = suite_.logs.Of(kToken);
  EXPECT_THAT(stream.gaps, ElementsAre(Pair(0, dropped)));
  EXPECT_TRUE(stream.bytes.substr(dropped) == printed_.substr(dropped));
  EXPECT_EQ(stream.final_offset, static_cast<std::int64_t>(printed_.size()));
}

TEST_F(ShipperTest, AHoleIsAGap) {
  constexpr std::int64_t kHole = 8 << 20;
  Print("before\n");
  const auto end = static_cast<std::int64_t>(printed_.size());
  std::filesystem::resize_file(dir_.log(), end + kHole);
  printed_ += std::string(kHole, '\0');
  Print("after\n");
  std::filesystem::resize_file(dir_.log(), printed_.size() + kHole);
  printed_ += std::string(kHole, '\0');
  End();
  StartShipping();
  WaitForShipper();
  const FakeStream stream = suite_.logs.Of(kToken);
  EXPECT_EQ(stream.final_offset, static_cast<std::int64_t>(printed_.size()));
  ASSERT_EQ(stream.bytes.size(), printed_.size());
  // A block of the file system that has a byte is no hole.
  const std::int64_t most = kHole - 2 * (64 << 10);
  ASSERT_EQ(stream.gaps.size(), 2u);
  for (const auto& [first, length] : stream.gaps) {
    EXPECT_GE(length, most);
    EXPECT_EQ(printed_.substr(first, length), std::string(length, '\0'));
  }
  EXPECT_LE(stream.blocks, 10);
}

TEST_F(ShipperTest, AHoleBeyondTheLimitIsOneGap) {
  constexpr std::int64_t kHole = 64 << 20;
  options_.unshipped_limit = 1 << 20;
  std::filesystem::resize_file(dir_.log(), kHole);
  printed_ = std::string(kHole, '\0');
  End();
  StartShipping();
  WaitForShipper();
  EXPECT_THAT(suite_.logs.Of(kToken).gaps, ElementsAre(Pair(0, kHole)));
}

TEST_F(ShipperTest, PrintedZerosAreShipped) {
  Print(std::string(1 << 20, '\0'));
  End();
  StartShipping();
  WaitForShipper();
  ExpectExactLog();
}

TEST_F(ShipperTest, DeliversResultsInOrderBeforeTheEnd) {
  suite_.jobs.Refuse(grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  StartShipping();
  Print("line\n");
  Report("{\"a\":1,\"b\":\"x\"}");
  Report("{\"a\":2}");
  End();
  ASSERT_TRUE(HasArrived(printed_.size()));
  EXPECT_EQ(suite_.logs.Of(kToken).final_offset, -1) << "the end waits for the results";
  suite_.jobs.Refuse(grpc::Status::OK);
  WaitForShipper();
  ExpectExactLog();
  EXPECT_THAT(suite_.jobs.Of(kToken), UnorderedElementsAre(Pair("a", "2"), Pair("b", "\"x\"")));
}

TEST_F(ShipperTest, DropsResultsThatAreRefusedForGood) {
  suite_.jobs.Refuse(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no"));
  Report("{\"a\":1}");
  Print("line\n");
  End();
  StartShipping();
  WaitForShipper();
  ExpectExactLog();
  EXPECT_EQ(ReadMessage<internal::v1::ShipState>(dir_.shipped())->results_delivered(), 1);
}

TEST_F(ShipperTest, DoesNotRepeatResultsAfterItsOwnDeath) {
  Report("{\"a\":1}");
  StartShipping();
  ASSERT_TRUE(Eventually([&] { return ReadMessage<internal::v1::ShipState>(dir_.shipped()).ok(); }));
  StopShipping();
  Report("{\"b\":2}");
  End();
  StartShipping();
  WaitForShipper();
  EXPECT_THAT(suite_.jobs.Of(kToken), UnorderedElementsAre(Pair("a", "1"), Pair("b", "2")));
}

TEST_F(ShipperTest, GivesUpWhenItsTokenStaysRefusedAfterTheEnd) {
  options_.refusal_limit = absl::Milliseconds(100);
  suite_.logs.Refuse(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "expired"));
  StartShipping();
  Print("line\n");
  ASSERT_TRUE(Eventually([&] { return suite_.logs.calls() >= 10; })) << "tries on while the attempt runs";
  End();
  WaitForShipper();
  const auto state = ReadMessage<internal::v1::ShipState>(dir_.shipped());
  ASSERT_TRUE(state.ok());
  EXPECT_TRUE(state->complete());
  EXPECT_THAT(state->given_up(), HasSubstr("expired"));
}

TEST_F(ShipperTest, HasNothingToDoOnceItIsComplete) {
  End();
  StartShipping();
  WaitForShipper();
  suite_.StopUserListener();
  StartShipping();
  WaitForShipper();
}

}  // namespace
}  // namespace riseml::agent
