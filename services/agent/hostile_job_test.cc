// Jobs that attack the node they run on: what they may not reach, forge or outlive.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/journal.h"
#include "services/agent/node_fixture.h"
#include "services/agent/runner_fixture.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using namespace riseml::agent::testing;

using HostileCommandTest = RunnerTest;

// A path of bash that takes the kernel some 20 ms to follow.
std::string SlowBash(const std::string& directory) {
  constexpr int kLinks = 36;  // the kernel follows 40
  fs::create_directories(directory + "/a");
  std::string detour;
  for (int i = 0; i < 790; ++i) detour += "a/../";
  for (int i = 0; i < kLinks; ++i)
    fs::create_symlink(absl::StrCat(detour, "L", i + 1), absl::StrCat(directory, "/L", i));
  fs::create_symlink("/usr/bin", absl::StrCat(directory, "/L", kLinks));
  return directory + "/L0/bash";
}

pid_t ChildOf(pid_t parent) {
  int pid = 0;
  const std::string children = ReadAll(absl::StrCat("/proc/", parent, "/task/", parent, "/children"));
  return absl::SimpleAtoi(children, &pid) ? pid : 0;
}

std::set<std::string> DescriptorsOf(pid_t pid) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(absl::StrCat("/proc/", pid, "/fd"), error), end; !error && it != end;
       it.increment(error))
    names.insert(it->path().filename().string());
  return names;
}

// A process of the job could open them by /proc from the moment on at which the new one may be inspected.
TEST_F(HostileCommandTest, AShellHasNoFileOfTheAttemptBeforeItIsExecuted) {  // A3
  plan_.set_shell(SlowBash(directory_ / "maze"));
  Start({"true"});
  std::set<std::string> last;
  ASSERT_TRUE(Eventually([&] {
    const pid_t child = ChildOf(process_->pid());
    std::error_code error;
    const std::string program = fs::read_symlink(absl::StrCat("/proc/", child, "/exe"), error).filename().string();
    if (child == 0 || program != "riseml-agent") return !last.empty();
    if (std::set<std::string> now = DescriptorsOf(child); !now.empty()) last = std::move(now);
    return false;
  }));
  Wait();
  EXPECT_EQ(last, (std::set<std::string>{"0", "1", "2"}));
}

// Only a sandbox keeps jobs from what these try.
class HostileJobTest : public NodeTest {
 protected:
  StartAttemptRequest OwnedJob(const std::vector<std::string>& commands, const std::string& owner_uid) {
    StartAttemptRequest start = Job(commands);
    start.mutable_template_()->set_owner_uid(owner_uid);
    return start;
  }
};

TEST_P(HostileJobTest, AnEndIsNoneWhileTheJobLives) {  // A3
  const StartAttemptRequest start = Job({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  internal::v1::JournalRecord forged;
  forged.mutable_ended()->set_event(Observation::EXITED);
  forged.mutable_ended()->set_exit_code(0);
  const UniqueFd journal = *OpenFile(DirOf(start).journal(), O_RDWR | O_APPEND);
  ASSERT_TRUE(AppendToJournal(journal.get(), forged).ok());
  ASSERT_TRUE(Eventually([&] { return IsIn(start, AttemptStatus::ENDED); }));
  EXPECT_THAT(ProcessesWithVariable("OUTPUT_DIR=" + OutputOf(start)), IsEmpty());
}

TEST_P(HostileJobTest, AJobCannotAskForItsOwnStop) {  // A21
  const StartAttemptRequest start = Job({"kill -TERM 1; kill -INT 1; sleep 0.3; echo on", "exit 3"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_THAT(LogOf(start).bytes, StartsWith("on\n"));
}

TEST_P(HostileJobTest, TheRootIsReadOnlyAndNamespacesAreTheNodes) {  // A29
  StartAttemptRequest start = Job({
      "mkdir /x 2>/dev/null || echo root is read-only",
      "touch /dev/x 2>/dev/null || echo dev is read-only",
      "unshare -U true 2>/dev/null || echo no namespaces",
      "head -c 2000000 /dev/zero > /dev/shm/x 2>/dev/null || echo shared memory is bounded; rm /dev/shm/x",
      "[ -e /run/riseml/token ] || echo no token",
      "ulimit -c",
  });
  start.mutable_resources()->set_memory_bytes(1 << 20);
  EXPECT_EQ(RunToEnd(start).exit_code(), 0);
  EXPECT_THAT(LogOf(start).bytes, StartsWith("root is read-only\ndev is read-only\nno namespaces\nshared memory is "
                                             "bounded\nno token\n0\n"));
}

// Whoever could write to the directory that holds a user's mounts could have other places mounted there.
TEST_P(HostileJobTest, ABuildCannotPutALinkInThePlaceOfAMount) {
  const std::string owner = NewUuid(), user = directory_ / ("environments/" + owner), key(64, 'a');
  const std::string path = absl::StrCat(user, "/work/", key);
  WriteAll(directory_ / "secret", "key");
  StartAttemptRequest build = OwnedJob({}, owner);
  build.set_role("build");
  build.mutable_template_()->clear_output_subpath();
  build.set_environment_path(path);
  build.add_build_steps()->set_command(
      absl::StrCat("cd ", user, "; for name in work work/cache work/steps; do mv $name $name.old || true; ln -s ",
                   directory_.path(), " $name || true; done; touch ", path, "/.riseml-complete"));
  EXPECT_EQ(RunToEnd(build).exit_code(), 0) << LogOf(build).bytes;
  EXPECT_FALSE(fs::is_symlink(user + "/work"));
  EXPECT_TRUE(fs::is_symlink(user + "/work/cache")) << "possible, and good for nothing";
  StartAttemptRequest train = OwnedJob({absl::StrCat("cat ", user, "/*/secret ", user, "/work/*/secret 2>&1 || true"),
                                        absl::StrCat("touch ", path, "/x 2>/dev/null || echo sealed")},
                                       owner);
  train.set_environment_path(path);
  EXPECT_EQ(RunToEnd(train).exit_code(), 0);
  EXPECT_THAT(LogOf(train).bytes, Not(HasSubstr("key\n")));
  EXPECT_THAT(LogOf(train).bytes, HasSubstr("sealed\n"));
  EXPECT_FALSE(fs::is_symlink(user + "/work/cache"));
}

TEST_P(HostileJobTest, ALinkInThePlaceOfAMountIsRefused) {
  const std::string owner = NewUuid(), user = directory_ / ("environments/" + owner);
  fs::create_directories(user);
  fs::create_symlink(directory_.path(), user + "/work");
  const AttemptStatus status = RunToEnd(OwnedJob({"true"}, owner));
  EXPECT_EQ(status.end(), Observation::START_FAILED);
  EXPECT_THAT(status.message(), HasSubstr("work is not a directory"));
}

INSTANTIATE_TEST_SUITE_P(Isolation, HostileJobTest, ::testing::Values(kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace riseml::agent
