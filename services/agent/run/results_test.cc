// Results of a job: what the socket takes, and how the spool is brought to api.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/agent/launch/job_tools.h"
#include "services/agent/run/report.h"
#include "services/agent/run/result_socket.h"
#include "services/agent/ship/result_delivery.h"
#include "services/agent/testing.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace riseml::agent::testing;

TEST(ResultLine, IsCheckedAndMadeCompact) {
  EXPECT_EQ(*ParseResultLine(R"({"results": {"a": 1.5}})"), R"({"a":1.5})");
  EXPECT_EQ(*ParseResultLine(R"({"results": {"b": "x\ny"}})"), R"({"b":"x\ny"})");
  EXPECT_EQ(*ParseResultLine(R"( {"results":{ "c" :false} } )"), R"({"c":false})");
  for (const char* line :
       {"", "1", "[]", "{}", R"({"results": 1})", R"({"results": {"a": null}})", R"({"results": {"a": {}}})",
        R"({"results": {}, "more": 1})", R"({"results": {"a": NaN}})", R"({"results": {"": 1}})",
        R"({"results": {"a": "x\u0000"}})", "{\"results\": {\"a\": \"\xff\"}}"})
    EXPECT_EQ(ParseResultLine(line).status().code(), absl::StatusCode::kInvalidArgument) << line;
  std::string many = R"({"results": {)";
  for (int i = 0; i < 257; ++i) absl::StrAppend(&many, i > 0 ? "," : "", "\"r", i, "\":1");
  EXPECT_TRUE(HasReason(ParseResultLine(many + "}}").status(), Reason::kLimitExceeded));
  const std::string grows = absl::StrCat(R"({"results": {"a": ")", std::string(20'000, '<'), R"("}})");
  EXPECT_TRUE(HasReason(ParseResultLine(grows).status(), Reason::kLimitExceeded)) << "printed it has 120 kB";
}

TEST(Report, MakesALineOfItsArguments) {
  const auto stored = [](const std::vector<std::string>& arguments, bool all_text = false) {
    const auto line = ReportLine(arguments, all_text);
    EXPECT_TRUE(line.ok()) << line.status();
    return line.ok() ? *ParseResultLine(*line) : "";
  };
  for (const auto& [value, json] : std::map<std::string, std::string>{{"0.93", "0.93"},
                                                                      {"-1e-3", "-0.001"},
                                                                      {"+5", "5"},
                                                                      {".5", "0.5"},
                                                                      {"true", "true"},
                                                                      {"False", "false"},
                                                                      {"good run", R"("good run")"},
                                                                      {"a=b", R"("a=b")"},
                                                                      {"nan", R"("nan")"},
                                                                      {"inf", R"("inf")"},
                                                                      {"1e999", R"("1e999")"},
                                                                      {" 1", R"(" 1")"},
                                                                      {"0x10", R"("0x10")"},
                                                                      {"2026-01-02", R"("2026-01-02")"},
                                                                      {"9007199254740993", R"("9007199254740993")"},
                                                                      {"1.2.3", R"("1.2.3")"}})
    EXPECT_EQ(stored({"r=" + value}), absl::StrCat(R"({"r":)", json, "}")) << value;
  EXPECT_EQ(stored({"r=1", "r=2"}), R"({"r":2})");
  EXPECT_EQ(stored({"r=007"}, true), R"({"r":"007"})");
  EXPECT_EQ(stored({"r="}, true), R"({"r":""})");
}

TEST(Report, SaysWhatIsWrong) {
  const auto complaint = [](const std::vector<std::string>& arguments) {
    return std::string(ReportLine(arguments, false).status().message());
  };
  EXPECT_THAT(complaint({}), HasSubstr("write NAME=VALUE"));
  EXPECT_THAT(complaint({"accuracy", "=", "0.9"}), HasSubstr("'accuracy' is not NAME=VALUE; write it without blanks"));
  EXPECT_THAT(complaint({"=1"}), HasSubstr("'=1' is not NAME=VALUE"));
  EXPECT_THAT(complaint({"accuracy="}), HasSubstr("'accuracy' has no value; write accuracy=VALUE"));
  EXPECT_THAT(complaint({"note=\xff"}), HasSubstr("is not UTF-8"));
  EXPECT_THAT(complaint({"note=" + std::string(70'000, 'x')}), HasSubstr("at most 65536"));
  EXPECT_THAT(std::string(SendReport("", "{}\n").message()), HasSubstr("not a job of RiseML"));
  TemporaryDirectory directory;
  for (const std::string& name : {std::string("socket"), std::string(150, 's')})
    EXPECT_THAT(std::string(SendReport(directory / name, "{}\n").message()),
                HasSubstr("the socket of the job is lost: "));
}

TEST(JobTools, CallRisemlJob) {
  TemporaryDirectory directory;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(PlaceJobTools(directory.path(), "/it's/job").ok());
  const std::string tool = directory / "tools/riseml-report";
  EXPECT_THAT(ReadAll(tool), HasSubstr(R"(exec '/it'\''s/job' report "$@")"));
  EXPECT_EQ(access(tool.c_str(), X_OK), 0);
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
