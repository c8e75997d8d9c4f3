#include "services/common/base/own_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "services/common/base/files/file.h"

namespace riseml {
namespace {

// Has a variable from the start: runs itself again with it.
TEST(OwnEnvironment, IsHiddenFromOthersAndStaysReadable) {
  constexpr char kName[] = "RISEML_TEST_PASSWORD";
  const pid_t pid = fork();
  if (pid == 0) {
    if (std::getenv(kName) == nullptr) {
      setenv(kName, "secret-of-a-test", 1);
      execl("/proc/self/exe", "test", "--gtest_filter=OwnEnvironment.*", nullptr);
      _exit(100);
    }
    const bool shown = ReadFile("/proc/self/environ", 1 << 20)->find("secret-of-a-test") != std::string::npos;
    HideEnvironment();
    const bool hidden = ReadFile("/proc/self/environ", 1 << 20)->find("secret-of-a-test") == std::string::npos;
    _exit(shown && hidden && std::getenv(kName) == std::string("secret-of-a-test") ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace riseml
