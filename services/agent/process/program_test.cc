// Programs that run to their end or are made to end.
#include "services/agent/process/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <stop_token>
#include <string>

namespace riseml::agent {
namespace {

ProgramRequest Shell(const std::string& command) {
  return {.argv = {"/bin/sh", "-c", command}, .environment = {"PATH=/usr/bin:/bin", "X=1"}};
}

TEST(Program, ReturnsWhatItPrintsAndItsCode) {
  const auto result = RunProgram(Shell("echo $X; echo no >&2; exit 3"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output, "1\n");
  EXPECT_EQ(result->errors, "no\n");
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(RunProgram(Shell("kill -9 $$"))->exit_code, 137);
  EXPECT_FALSE(RunProgram({.argv = {"/nowhere"}}).ok());
}

TEST(Program, DoesNotWaitForWhatItLeavesBehind) {
  const auto result = RunProgram(Shell("echo a; sleep 1000 & echo $!"));
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(result->output, ::testing::StartsWith("a\n"));
  kill(std::stoi(result->output.substr(2)), SIGKILL);
}

TEST(Program, KeepsAtMostAMebibyte) {
  const auto result = RunProgram(Shell("head -c 3000000 /dev/zero"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output.size(), std::size_t{1} << 20);
}

TEST(Program, EndsWhenStoppedOrLate) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(RunProgram(Shell("sleep 1000"), stop.get_token()).status().code(), absl::StatusCode::kCancelled);
  ProgramRequest late = Shell("trap 'exit 0' TERM; sleep 1000 & wait");
  late.limit = absl::Milliseconds(100);
  EXPECT_EQ(RunProgram(late).status().code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace riseml::agent
