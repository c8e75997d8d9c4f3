#include "cli/render/format.h"

#include <gtest/gtest.h>

#include "cli/client/errors.h"
#include "cli/render/state.h"
#include "cli/render/table.h"
#include "services/common/base/status.h"

namespace riseml::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(Since, NamesTheLargestUnitOnly) {
  const auto since = [](absl::Duration ago) { return Since(kNow - ago, kNow); };
  EXPECT_EQ(Since(std::nullopt, kNow), "-");
  EXPECT_EQ(since(absl::Milliseconds(900)), "just now");
  EXPECT_EQ(since(absl::Seconds(-5)), "just now");
  EXPECT_EQ(since(absl::Seconds(1)), "1 second");
  EXPECT_EQ(since(absl::Seconds(59)), "59 seconds");
  EXPECT_EQ(since(absl::Seconds(60)), "1 minute");
  EXPECT_EQ(since(absl::Seconds(3599)), "59 minutes");
  EXPECT_EQ(since(absl::Hours(1)), "1 hour");
  EXPECT_EQ(since(absl::Hours(47)), "1 day");
  EXPECT_EQ(since(absl::Hours(48)), "2 days");
}

TEST(Took, NamesAllUnits) {
  const auto took = [](absl::Duration duration) { return Took(kNow, kNow + duration); };
  EXPECT_EQ(Took(std::nullopt, kNow), "-");
  EXPECT_EQ(Took(kNow, std::nullopt), "-");
  EXPECT_EQ(took(absl::ZeroDuration()), "0 seconds");
  EXPECT_EQ(took(absl::Seconds(-3)), "0 seconds");
  EXPECT_EQ(took(absl::Seconds(1)), "1 second");
  EXPECT_EQ(took(absl::Seconds(61)), "1m 1s");
  EXPECT_EQ(took(absl::Seconds(90061)), "25h 1m 1s");
}

TEST(Size, IsCountedInPowersOf1024) {
  EXPECT_EQ(Size(0), "0 B");
  EXPECT_EQ(Size(1023), "1023 B");
  EXPECT_EQ(Size(1024), "1.0 KB");
  EXPECT_EQ(Size(17616077), "16.8 MB");
  EXPECT_EQ(Size(std::int64_t{3} << 30), "3.0 GB");
}

TEST(Grouped, CutsByThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1204), "1,204");
  EXPECT_EQ(Grouped(100'000), "100,000");
  EXPECT_EQ(Grouped(1'234'567), "1,234,567");
}

TEST(Pairs, AreSortedAndNumbersAreShort) {
  google::protobuf::Struct result;
  (*result.mutable_fields())["loss"].set_number_value(0.123456789);
  (*result.mutable_fields())["accuracy"].set_number_value(0.3);
  (*result.mutable_fields())["big"].set_number_value(1234567);
  (*result.mutable_fields())["note"].set_string_value("a\nb");
  (*result.mutable_fields())["ok"].set_bool_value(true);
  EXPECT_EQ(Pairs(result), "accuracy=0.3, big=1.2346E+06, loss=0.12346, note=a b, ok=True");
}

TEST(OneLine, LeavesNothingThatMovesTheCursor) {
  EXPECT_EQ(OneLine("a\x1b[2Jb\nc\x7f"), "a [2Jb c ");
  EXPECT_EQ(OneLine("user\u202egpj\u200b.exe"), "user\\u202egpj\\u200b.exe");
  EXPECT_EQ(OneLine("größe 日本 😀"), "größe 日本 😀");
  EXPECT_EQ(OneLine("\xc2\x9b"
                    "31m ä"),
            "  31m ä");
}

TEST(Columns, CountsCharactersWithoutColours) { EXPECT_EQ(Columns("\x1b[1m├╴ä\x1b[0m"), 3); }

TEST(Table, WidensColumnsAndLeavesNoBlanksAtTheEnd) {
  EXPECT_EQ(Table({}, {{"A", 3}, {"B", 2}, {"C"}}, {{"x", "wide", ""}, {"ä", "y", "z"}}),
            "A   B    C\nx   wide\nä   y    z\n");
}

TEST(State, FallsBackToAscii) {
  EXPECT_EQ(ShownState({.utf8 = false}, v1::Job::FINISHED), "+ FINISHED");
  EXPECT_EQ(ShownState({.utf8 = true}, v1::Job::SERVING), "● SERVING");
  EXPECT_EQ(ShownState({.color = true, .utf8 = true}, v1::Experiment::KILLED), "\x1b[31m✗\x1b[0m KILLED");
  EXPECT_EQ(StateName(static_cast<v1::Experiment::State>(99)), "UNKNOWN");
}

TEST(ErrorText, SaysWhatToDo) {
  EXPECT_EQ(ErrorText(absl::InvalidArgumentError("bad\nworse")), "ERROR: bad\n       worse\n");
  EXPECT_EQ(ErrorText(WithHint(absl::NotFoundError("gone"), "Look elsewhere.")),
            "ERROR: gone\n       Look elsewhere.\n");
}

TEST(ErrorText, ListsWrongFieldsThatTheMessageDoesNotExplain) {
  absl::Status status = Error(Reason::kInvalidArgument, "email: must contain an @; 2 fields are wrong");
  status = WithViolation(status, "email", "must contain an @");
  status = WithViolation(status, "role\x1b[2J", "must be one of VIEWER, USER, ADMIN");
  EXPECT_EQ(ErrorText(status),
            "ERROR: email: must contain an @; 2 fields are wrong\n"
            "       role [2J: must be one of VIEWER, USER, ADMIN\n");
}

TEST(ErrorText, NamesTheRequestOfAnUnexpectedError) {
  EXPECT_EQ(ErrorText(WithCall(absl::InternalError("boom"), "API", "h:1", "r-1")),
            "ERROR: An unexpected error occured: boom (request r-1)\n");
}

TEST(ErrorText, TellsAServerThatRefusesFromOneThatIsAbsent) {
  const absl::Status absent =
      WithCall(absl::UnavailableError("failed to connect: Connection refused"), "API", "h:1", "r");
  EXPECT_TRUE(IsUnreachable(absent));
  EXPECT_EQ(ErrorText(absent),
            "ERROR: Could not connect to API (h:1) — connection refused\n       It may still be starting: try again in "
            "a few seconds. Start a local installation "
            "with: riseml up\n");
  const absl::Status silent =
      WithCall(absl::UnavailableError("failed to connect to all addresses; last error: UNKNOWN: Handshake read failed"),
               "API", "h:1", "r");
  EXPECT_EQ(
      ErrorText(silent),
      "ERROR: Could not connect to API (h:1) — something listens there, but it does not answer\n"
      "       Try again in a minute. A local installation can be restarted, and its jobs go on, with: riseml down "
      "&& riseml up\n");
  EXPECT_EQ(ErrorText(WithCall(absl::DeadlineExceededError("Deadline Exceeded"), "API", "h:1", "r")),
            ErrorText(silent));
  const absl::Status refusing = WithCall(Error(Reason::kShuttingDown, "stopping"), "API", "h:1", "r");
  EXPECT_FALSE(IsUnreachable(refusing));
  EXPECT_EQ(ErrorText(refusing), "ERROR: stopping\n");
}

}  // namespace
}  // namespace riseml::cli
