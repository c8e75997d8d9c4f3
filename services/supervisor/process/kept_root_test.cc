#include "services/supervisor/process/kept_root.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "services/common/base/files/file.h"
#include "services/supervisor/install/account.h"
#include "services/supervisor/process/process.h"

namespace riseml::supervisor {
namespace {

constexpr uid_t kNobody = 65534;

class KeptRoot : public ::testing::Test {
 protected:
  KeptRoot() {
    char pattern[] = "/tmp/riseml-root-XXXXXX";
    dir_ = mkdtemp(pattern);
    chmod(dir_.c_str(), 0777);
  }
  ~KeptRoot() override { std::filesystem::remove_all(dir_); }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root has rights to keep";
  }

  // Runs `holds` in a process that has become another user with these rights. Returns what it returned.
  static bool InAccount(RootRights rights, const std::function<bool()>& holds) {
    const pid_t child = fork();
    if (child == 0) {
      const Account account{.uid = kNobody, .gid = kNobody, .name = "nobody", .drop = true};
      _exit(Become(account, rights).ok() && holds() ? 0 : 1);
    }
    return WaitFor(child) == 0;
  }

  // Returns the line of /proc/PID/status with the user ids of a program that was started with or without root's rights.
  std::string IdsOfProgram(RootRights rights, bool as_root) {
    const std::string output = dir_ + "/ids";
    const bool ran = InAccount(rights, [&] {
      const absl::StatusOr<pid_t> pid = Spawn({.argv = {"/bin/grep", "^Uid:", "/proc/self/status"},
                                               .log_file = dir_ + "/log",
                                               .output_file = output,
                                               .as_root = as_root},
                                              [](pid_t) { return absl::OkStatus(); });
      return pid.ok() && WaitFor(*pid) == 0;
    });
    EXPECT_TRUE(ran);
    return ReadFile(output, 4096).value_or("absent");
  }

  std::string dir_;
};

TEST_F(KeptRoot, IsTakenByOneThreadForAWhile) {
  const pid_t parent = getpid();
  EXPECT_TRUE(InAccount(RootRights::kInReserve, [parent] {
    if (kill(parent, 0) == 0 || geteuid() != kNobody) return false;
    bool other_is_root = true;
    {
      const AsRoot root;
      if (kill(parent, 0) != 0 || geteuid() != 0) return false;
    }
    std::jthread([&other_is_root] { other_is_root = geteuid() == 0; }).join();
    return !other_is_root && kill(parent, 0) != 0 && geteuid() == kNobody;
  }));
}

TEST_F(KeptRoot, IsGoneOnceGivenUp) {
  EXPECT_TRUE(InAccount(RootRights::kGivenUp, [] {
    const AsRoot root;
    return geteuid() == kNobody && setuid(0) != 0;
  }));
}

TEST_F(KeptRoot, ProgramsGetItOnlyWhenTold) {
  EXPECT_EQ(IdsOfProgram(RootRights::kInReserve, true), "Uid:\t0\t0\t0\t0\n");
  EXPECT_EQ(IdsOfProgram(RootRights::kInReserve, false), "Uid:\t65534\t65534\t65534\t65534\n");
  EXPECT_EQ(IdsOfProgram(RootRights::kGivenUp, true), "Uid:\t65534\t65534\t65534\t65534\n");
}

}  // namespace
}  // namespace riseml::supervisor
