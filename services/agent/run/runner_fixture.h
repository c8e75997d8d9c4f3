// Fixture that runs `riseml-job run` as a process, with a directory made by the test and without a sandbox.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/process/process.h"
#include "services/agent/testing.h"

namespace riseml::agent::testing {

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    (*plan_.mutable_environment())["PATH"] = "/usr/bin:/bin";
    (*plan_.mutable_environment())["DIR"] = directory_.path();
    plan_.set_work_dir(directory_.path());
    plan_.mutable_grace()->set_seconds(60);
  }

  void Start(const std::vector<std::string>& commands) {
    for (const std::string& command : commands) plan_.add_commands(command);
    WriteAll(directory_ / "run.pb", plan_.SerializeAsString());
    process_ = std::make_unique<ChildProcess>(std::vector<std::string>{RISEML_JOB, "run", "--dir", directory_.path()},
                                              std::vector<std::string>{"LEAKED=1"}, directory_ / "own.log");
  }
  internal::v1::AttemptEnded Wait() {
    EXPECT_EQ(process_->Wait(), 0) << ReadAll(directory_ / "own.log");
    const auto journal = ReadJournal(directory_ / "journal");
    EXPECT_TRUE(journal.ok() && journal->started && journal->ended);
    return journal.ok() && journal->ended ? *journal->ended : internal::v1::AttemptEnded();
  }
  internal::v1::AttemptEnded Run(const std::vector<std::string>& commands) {
    Start(commands);
    const internal::v1::AttemptEnded ended = Wait();
    EXPECT_EQ(ended.final_offset(), static_cast<std::int64_t>(Log().size()));
    return ended;
  }
  std::string Log() const { return ReadAll(directory_ / "log"); }
  void WaitForFile(const std::string& name) {
    ASSERT_TRUE(Eventually([&] { return FileExists(directory_ / name); })) << ReadAll(directory_ / "own.log");
  }
  // True when the process whose pid a command wrote to a file is gone.
  bool IsGone(const std::string& file) {
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(ReadAll(directory_ / file), &pid));
    const auto stat = ReadProcessStat(pid);
    return !stat.ok() || stat->state == 'Z';
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ / "socket";
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static std::string Ask(const UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    std::string answer;
    char c = 0;
    while (read(fd.get(), &c, 1) == 1 && c != '\n') answer.push_back(c);
    return answer;
  }

  TemporaryDirectory directory_;
  internal::v1::RunPlan plan_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace riseml::agent::testing
