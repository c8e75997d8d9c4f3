// An installation whose jobs run in containers: the registry, the rights of the node, and the way back to processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"
#include "services/common/oci/curl_http.h"
#include "services/supervisor/supervisor_fixture.h"

namespace riseml::supervisor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class SupervisorContainersTest : public SupervisorTest {
 protected:
  Result UpWith(const std::string& runtime) { return Run("up", {}, {"--runtime", runtime}); }

  void UpWithContainers() {
    const Result up = UpWith("podman");
    ASSERT_EQ(up.exit_code, 0) << up.output << Logs();
    EXPECT_THAT(up.output, HasSubstr("Jobs run in containers (Podman)."));
  }

  std::map<std::string, int> Pids() {
    std::map<std::string, int> pids = AllPids();
    pids[std::string(kRegistry)] = PidOf(kRegistry);
    return pids;
  }

  // Returns the real, effective, saved and file system user id of a process.
  static std::vector<uid_t> IdsOf(int pid) {
    std::vector<uid_t> ids;
    const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"), 64 << 10).value_or("");
    for (const absl::string_view line : absl::StrSplit(status, '\n')) {
      if (!absl::StartsWith(line, "Uid:")) continue;
      for (const absl::string_view word : absl::StrSplit(line.substr(4), '\t', absl::SkipEmpty()))
        EXPECT_TRUE(absl::SimpleAtoi(word, &ids.emplace_back())) << line;
    }
    return ids;
  }

  static uid_t OwnerOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_uid;
  }

  // Returns the registry's answer to a client without a token.
  absl::StatusOr<oci::HttpAnswer> AskRegistry() {
    const std::string address = AddressOf(*LoadState({dir_, dir_}), kRegistry);
    oci::CurlOptions options;
    options.private_hosts = {address};
    oci::HttpRequest request;
    request.method = "GET";
    request.url = absl::StrCat("http://", address, "/v2/");
    return oci::CurlHttp(options).Perform(request);
  }
};

TEST_F(SupervisorContainersTest, HaveARegistryThatAsksForTokens) {
  UpWithContainers();
  const auto answer = AskRegistry();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 401);
  const std::string realm = absl::StrCat("http://", AddressOf(*LoadState({dir_, dir_}), kTokenListener), "/token");
  EXPECT_THAT(answer->Header("www-authenticate"),
              AllOf(HasSubstr("realm=\"" + realm + "\""), HasSubstr("service=\"riseml-registry\"")));
  const Result status = Run("status");
  EXPECT_EQ(status.exit_code, 0) << status.output;
  EXPECT_THAT(status.output, HasSubstr("registry "));

  const int pid = PidOf(kRegistry);
  KillHard(kRegistry);
  Eventually([&] { return PidOf(kRegistry) > 0 && PidOf(kRegistry) != pid && Run("status").exit_code == 0; },
             "the registry is started again");
  const auto pids = Pids();
  EXPECT_EQ(Run("down").exit_code, 0);
  for (const auto& [name, one] : pids) EXPECT_FALSE(riseml::Identify(one).ok()) << name;
}

TEST_F(SupervisorContainersTest, AreRememberedAndSetAtAStart) {
  UpWithContainers();
  EXPECT_THAT(UpWith("process").output, HasSubstr("--runtime is set at its start; run `riseml down` first"));
  EXPECT_THAT(Run("up").output, AllOf(HasSubstr("already up"), HasSubstr("Jobs run in containers (Podman).")));
  ASSERT_EQ(Run("down").exit_code, 0);
  Up();
  EXPECT_GT(PidOf(kRegistry), 0);
}

TEST_F(SupervisorContainersTest, OnlyTheNodeRunsAsRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has rights to keep";
  UpWithContainers();
  const uid_t account = OwnerOf(dir_);
  ASSERT_NE(account, 0u);
  for (const auto& [name, pid] : Pids()) EXPECT_THAT(IdsOf(pid), Each(name == kNode ? 0U : account)) << name;
  EXPECT_EQ(IdsOf(PidOf(kSupervisor)), (std::vector<uid_t>{account, account, 0, account}));
  EXPECT_EQ(OwnerOf(dir_ + "/containers"), 0u);
}

TEST_F(SupervisorContainersTest, AreAdoptedWithTheNode) {
  UpWithContainers();
  const auto pids = Pids();
  KillHard(kSupervisor);
  Up();
  EXPECT_EQ(Pids(), pids);
  KillHard(kNode);
  Eventually([&] { return PidOf(kNode) > 0 && PidOf(kNode) != pids.at("agent") && Run("status").exit_code == 0; },
             "the node is started again");
}

TEST_F(SupervisorContainersTest, GoBackToProcessesWithTheFilesOfJobs) {
  UpWithContainers();
  ASSERT_EQ(Run("down").exit_code, 0);
  const std::string output = dir_ + "/output/1/deep", link = dir_ + "/output/1/link";
  fs::create_directories(output);
  fs::create_symlink(root_, link);
  ASSERT_TRUE(WriteFileAtomically(output + "/model", "weights").ok());

  const Result up = UpWith("process");
  ASSERT_EQ(up.exit_code, 0) << up.output << Logs();
  EXPECT_THAT(up.output, Not(HasSubstr("containers")));
  EXPECT_EQ(PidOf(kRegistry), 0);
  EXPECT_THAT(IdsOf(PidOf(kNode)), Each(OwnerOf(dir_)));
  for (const std::string& path : {output, output + "/model", link}) EXPECT_EQ(OwnerOf(path), OwnerOf(dir_)) << path;
  EXPECT_EQ(OwnerOf(root_), geteuid()) << "links are not followed";
}

TEST_F(SupervisorContainersTest, EndWithTheirNodeAfterTheDeathOfTheSupervisor) {
  UpWithContainers();
  const auto pids = Pids();
  KillHard(kSupervisor);
  const Result up = UpWith("process");
  ASSERT_EQ(up.exit_code, 0) << up.output << Logs();
  for (const auto& [name, pid] : pids) EXPECT_FALSE(riseml::Identify(pid).ok()) << name;
  EXPECT_THAT(IdsOf(PidOf(kNode)), Each(OwnerOf(dir_)));
}

TEST_F(SupervisorContainersTest, AreRefusedWithoutTheirPackages) {
  if (RunAndWait({"unshare", "-m", "true"})->exit_code != 0) GTEST_SKIP() << "no mount can be made here";
  const std::vector<std::string> hidden = {"unshare", "-m", "sh", "-c",
                                           "mount --bind /dev/null /usr/bin/docker-registry && exec \"$0\" \"$@\""};
  const Result up = Run("up", hidden, {"--runtime", "podman"});
  EXPECT_EQ(up.exit_code, 1);
  EXPECT_THAT(up.output, HasSubstr("run `apt-get install docker-registry`, or run jobs as processes"));
  EXPECT_EQ(PidOf(kDatabase), 0);
  Up();
  EXPECT_EQ(PidOf(kRegistry), 0);
}

}  // namespace
}  // namespace riseml::supervisor
