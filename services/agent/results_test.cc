// Results of a job: what the socket takes, and how the spool is brought to api.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/agent/result_delivery.h"
#include "services/agent/result_socket.h"
#include "services/agent/testing.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using namespace riseml::agent::testing;

TEST(ResultLine, IsCheckedAndMadeCompact) {
  EXPECT_EQ(*ParseResultLine(R"({"results": {"a": 1.5}})"), R"({"a":1.5})");
  EXPECT_EQ(*ParseResultLine(R"({"results": {"b": "x\ny"}})"), R"({"b":"x\ny"})");
  EXPECT_EQ(*ParseResultLine(R"( {"results":{ "c" :false} } )"), R"({"c":false})");
  for (const char* line : {"", "1", "[]", "{}", R"({"results": 1})", R"({"results": {"a": null}})",
                           R"({"results": {"a": {}}})", R"({"results": {}, "more": 1})", R"({"results": {"a": NaN}})",
                           R"({"results": {"": 1}})", R"({"results": {"a": "x\u0000"}})"})
    EXPECT_EQ(ParseResultLine(line).status().code(), absl::StatusCode::kInvalidArgument) << line;
  std::string many = R"({"results": {)";
  for (int i = 0; i < 257; ++i) absl::StrAppend(&many, i > 0 ? "," : "", "\"r", i, "\":1");
  EXPECT_TRUE(HasReason(ParseResultLine(many + "}}").status(), Reason::kLimitExceeded));
  const std::string grows = absl::StrCat(R"({"results": {"a": ")", std::string(20'000, '<'), R"("}})");
  EXPECT_TRUE(HasReason(ParseResultLine(grows).status(), Reason::kLimitExceeded)) << "printed it has 120 kB";
}

// A spool of results, and what has been reported of it.
struct Reported {
  std::vector<std::string> calls;  // JSON and sequence number

  ReportResults Answering(std::function<absl::Status(const google::protobuf::Struct&)> answer) {
    return [this, answer](const google::protobuf::Struct& results, std::int64_t sequence) {
      std::string names;
      for (const auto& [name, value] : std::map(results.fields().begin(), results.fields().end())) names += name;
      calls.push_back(absl::StrCat(names, "@", sequence));
      return answer(results);
    };
  }
};

TEST(ResultDelivery, HidesSecretsInResults) {
  google::protobuf::Struct results;
  (*results.mutable_fields())["url"].set_string_value("https://me:hunter22@host");
  (*results.mutable_fields())["of hunter22"].set_number_value(0.5);
  const google::protobuf::Struct masked = MaskResults(logtext::Masker({"hunter22"}), results);
  EXPECT_EQ(masked.fields().at("url").string_value(), "https://me:********@host");
  EXPECT_EQ(masked.fields().at("of ********").number_value(), 0.5);
}

TEST(ResultDelivery, MergesWhatIsThere) {
  TemporaryDirectory directory;
  WriteAll(directory / "spool", "{\"a\":1}\n{\"b\":2}\n{\"c\":");
  Reported reported;
  ResultDelivery delivery(directory / "spool", 0, reported.Answering([](const auto&) { return absl::OkStatus(); }));
  EXPECT_TRUE(delivery.Deliver().ok());
  EXPECT_THAT(reported.calls, ElementsAre("ab@2"));
  EXPECT_EQ(delivery.delivered(), 2);
}

TEST(ResultDelivery, ARefusedLineTakesNoOtherWithIt) {
  TemporaryDirectory directory;
  WriteAll(directory / "spool", "{\"a\":1}\n{\"bad\":2}\n{\"c\":3}\n");
  Reported reported;
  ResultDelivery delivery(directory / "spool", 0, reported.Answering([](const google::protobuf::Struct& results) {
    return results.fields().contains("bad") ? Error(Reason::kLimitExceeded, "too large") : absl::OkStatus();
  }));
  EXPECT_TRUE(delivery.Deliver().ok());
  EXPECT_THAT(reported.calls, ElementsAre("abadc@3", "a@1", "bad@2", "c@3"));
  EXPECT_EQ(delivery.delivered(), 3);
}

TEST(ResultDelivery, WaitsForAServerThatIsAway) {
  TemporaryDirectory directory;
  WriteAll(directory / "spool", "{\"a\":1}\n");
  bool away = true;
  Reported reported;
  ResultDelivery delivery(directory / "spool", 0, reported.Answering([&away](const auto&) {
    return away ? absl::UnavailableError("away") : absl::OkStatus();
  }));
  EXPECT_FALSE(delivery.Deliver().ok());
  EXPECT_EQ(delivery.delivered(), 0);
  away = false;
  EXPECT_TRUE(delivery.Deliver().ok());
  EXPECT_EQ(delivery.delivered(), 1);
}

}  // namespace
}  // namespace riseml::agent
