// Jobs in containers, and builds of images, on a node with Podman.

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_join.h"
#include "services/agent/disk/image_cleanup.h"
#include "services/agent/launch/build_root.h"
#include "services/agent/launch/container.h"
#include "services/agent/node/container_fixture.h"
#include "services/common/base/clock.h"
#include "services/common/base/threads/pause.h"
#include "services/common/oci/testing/registry_server.h"

namespace riseml::agent {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using namespace riseml::agent::testing;

// The clock of eight days later.
class LaterClock final : public Clock {
 public:
  absl::Time Now() const override { return SystemClock().Now() + absl::Hours(8 * 24); }
};

class ContainerTest : public ContainerNodeTest {
 protected:
  void SetUp() override {
    ContainerNodeTest::SetUp();
    if (podman_ != nullptr) MakeImage("localhost/busybox:latest");
  }
};

TEST_P(ContainerTest, RunsAJobFromItsImageToItsResults) {
  StartAttemptRequest start =
      ContainerJob({"cat hello.txt; pwd", "echo $MADE_BY $USER; echo $PATH; echo $PYTHONPATH",
                    "echo made > $OUTPUT_DIR/made; cat /output/made; echo again > /dev/stdout",
                    "riseml-report epochs=3 name=a", "id -u; head -n1 /etc/os-release; touch changed /etc/changed"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED) << status.message();
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.exit_class(), v1::Attempt::SUCCESS);
  EXPECT_EQ(
      LogOf(start).bytes,
      absl::StrCat("hello from the image\n/code\nimage paul\n/opt/image:/bin:/tmp/home/.local/bin:/run/riseml/tools\n",
                   RISEML_PYTHON_CLIENT, "\nmade\nagain\n0\nID=test\n",
                   "==> Kept 1 file (0 bytes) that the job left in its working directory: workdir/ in its output "
                   "(riseml status shows the path)\n"));
  EXPECT_THAT(suite_.jobs.Of(start.token()), UnorderedElementsAre(Pair("epochs", "3"), Pair("name", "\"a\"")));
  struct stat made {};
  ASSERT_EQ(stat((OutputOf(start) + "/made").c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, geteuid() == 0 ? kFirstContainerUid : geteuid());
  EXPECT_EQ(made.st_mode & 0777, 0644u);
  EXPECT_TRUE(FileExists(OutputOf(start) + "/workdir/changed")) << "new files of the working directory are kept";
  EXPECT_TRUE(Eventually([&] { return RunPodman({"ps", "--all", "--quiet"}).output.empty(); })) << "it is removed";
}

TEST_P(ContainerTest, ReturnsTheExitCode) {
  const StartAttemptRequest start = ContainerJob({"echo one", "exit 3", "echo never"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.message(), "Command `exit 3` return code: 3");
  EXPECT_EQ(status.exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_EQ(LogOf(start).bytes, "one\n");
}

TEST_P(ContainerTest, HasTheLimitsThatWereAskedFor) {
  if (!podman_->limits()) GTEST_SKIP() << "this account cannot limit containers";
  StartAttemptRequest start = ContainerJob({"head -c 300000000 /dev/zero | tail >/dev/null", "echo never"});
  start.mutable_resources()->set_memory_bytes(100 << 20);
  start.mutable_resources()->set_cpus(1);
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.reason(), "OOMKILLED") << status.message() << LogOf(start).bytes;
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.exit_class(), v1::Attempt::OUT_OF_MEMORY);
  EXPECT_THAT(status.message(), HasSubstr("the job reached its memory limit of 104 MB"));

  // A job that kills itself has not used up its memory.
  start = ContainerJob({"kill -9 $$"});
  start.mutable_resources()->set_memory_bytes(100 << 20);
  EXPECT_EQ(RunToEnd(start).reason(), "ERROR");
}

TEST_P(ContainerTest, StopEndsEverythingAfterTheGracePeriod) {
  StartAttemptRequest start =
      ContainerJob({"trap '' TERM; (trap '' TERM; sleep 1000) & touch $OUTPUT_DIR/here; sleep 1000; sleep 1000"});
  start.mutable_grace()->set_seconds(1);
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); })) << ReadAll(DirOf(start).run_log());
  ASSERT_TRUE(Stop(start).ok());
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.end(), Observation::STOPPED);
  EXPECT_EQ(status.reason(), "KILLED");
  EXPECT_THAT(LogOf(start).bytes, EndsWith("==> Killed: it still ran 1 s after SIGTERM.\n"));
}

TEST_P(ContainerTest, OutlivesAKilledNode) {
  const StartAttemptRequest start = ContainerJob({"echo x >> $OUTPUT_DIR/count", kWaitForGo, "echo done; exit 4"});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); })) << ReadAll(DirOf(start).run_log());
  KillNode();
  StartNode();
  EXPECT_TRUE(IsIn(start, AttemptStatus::RUNNING));
  WriteAll(OutputOf(start) + "/go", "");
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.exit_code(), 4);
  EXPECT_EQ(LogOf(start).bytes, "done\n");
  EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");
}

TEST_P(ContainerTest, ShowsItsFileSystemToNobodyElse) {
  const StartAttemptRequest start = ContainerJob({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); })) << ReadAll(DirOf(start).run_log());
  EXPECT_THAT(ReadAll("/proc/self/mountinfo"), Not(HasSubstr(StorageDir() + "/images")));
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
}

TEST_P(ContainerTest, RunsOnceThoughItsNodeDiesWhileItStarts) {
  for (int round = 0; round < 5; ++round) {
    const StartAttemptRequest start = ContainerJob({"echo x >> $OUTPUT_DIR/count; sleep 1"});
    ASSERT_TRUE(Start(start).ok());
    ASSERT_TRUE(Eventually([&] { return FileExists(DirOf(start).launch()); }));
    Pause({}, absl::Milliseconds(20 * round));
    KillNode();
    StartNode();
    const AttemptStatus status = WaitForEnd(start);
    EXPECT_EQ(status.exit_code(), 0) << status.message();
    EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");
  }
}

TEST_P(ContainerTest, SeesDataAndInputsReadOnly) {
  std::filesystem::create_directories(directory_ / "data");
  WriteAll(directory_ / "data/train.csv", "1,2\n");
  std::filesystem::create_directories(directory_ / "output/paul/project/5");
  WriteAll(directory_ / "output/paul/project/5/model", "weights\n");
  StartAttemptRequest start = ContainerJob(
      {"cat /data/train.csv $RISEML_DATA_DIR/train.csv /inputs/model/model",
       "for d in /data /inputs/model; do touch $d/new 2>/dev/null && echo writable || echo read-only; done",
       "cat $TOKEN; echo $KEY"});
  (*start.mutable_template_()->mutable_input_subpaths())["model"] = "paul/project/5";
  start.mutable_template_()->set_shared_subpath("paul/project/.shared");
  const AttemptStatus status = RunToEnd(start);
  EXPECT_THAT(LogOf(start).bytes, StartsWith("1,2\n1,2\nweights\nread-only\nread-only\n")) << status.message();
}

TEST_P(ContainerTest, HasNoRightsOnTheMachine) {
  const StartAttemptRequest start =
      ContainerJob({"grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; head -n1 /proc/self/uid_map",
                    "chmod 777 /run/riseml-job 2>/dev/null || echo refused"});
  RunToEnd(start);
  EXPECT_THAT(LogOf(start).bytes,
              AllOf(HasSubstr("CapEff:\t0000000000000000\n"), HasSubstr("CapBnd:\t0000000000000000\n"),
                    HasSubstr("NoNewPrivs:\t1\n"), HasSubstr("refused\n")));
  if (geteuid() == 0) EXPECT_THAT(LogOf(start).bytes, HasSubstr("2000000000"));
}

TEST_P(ContainerTest, SaysThatTheImageHasNoShell) {
  MakeImage("localhost/bare:latest", /*shell=*/false);
  const StartAttemptRequest start = ContainerJob({"echo never"}, "localhost/bare:latest");
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_EQ(status.message(), "the image has no shell (/bin/sh) to run commands with");
  EXPECT_EQ(LogOf(start).bytes, "==> the image has no shell (/bin/sh) to run commands with\n");
}

TEST_P(ContainerTest, PullsItsImageWithItsCredentials) {
  // "ann" with the password "secret", hashed by bcrypt.
  const oci::testing::RegistryServer registry("htpasswd: {realm: test, path: FILE}",
                                              "ann:$2b$05$4PIYxrBWAwVmUgqupXZYN.tmAzo3o3FShbSx2DBwKqIfsXen7uDbS\n");
  const std::string name = registry.host() + "/jobs/busybox:1", digest_file = directory_ / "digest";
  RunPodman({"push", "--tls-verify=false", "--creds", "ann:secret", "--digestfile", digest_file,
             "localhost/busybox:latest", name});
  RunPodman({"rmi", "--all", "--force"});
  StartAttemptRequest start = ContainerJob({"echo pulled"}, registry.host() + "/jobs/busybox@" + ReadAll(digest_file));
  start.mutable_image()->set_plain_http(true);
  start.mutable_image()->set_username("ann");
  start.mutable_image()->set_password("wrong");
  AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::START_FAILED);
  EXPECT_THAT(status.message(), HasSubstr("cannot be pulled: the registry refuses the credentials"));

  start.set_job_uid(NewUuid());
  start.set_token("token-of-" + start.job_uid());
  start.mutable_image()->set_password("secret");
  status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 0) << status.message();
  EXPECT_EQ(LogOf(start).bytes, "pulled\n");
  EXPECT_FALSE(FileExists(DirOf(start).path() + "/auth.json"));
}

TEST_P(ContainerTest, SaysThatTheRegistryDoesNotHaveTheImage) {
  const oci::testing::RegistryServer registry;
  StartAttemptRequest start = ContainerJob({"true"}, registry.host() + "/a/b@sha256:" + std::string(64, '0'));
  start.mutable_image()->set_plain_http(true);
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::START_FAILED);
  EXPECT_EQ(status.exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_THAT(status.message(), HasSubstr("cannot be pulled: the registry does not have it"));
  EXPECT_TRUE(std::filesystem::is_empty(StorageDir() + "/used")) << "no use of an image that is not here";
}

TEST_P(ContainerTest, LeftContainersAreRemovedAtTheStart) {
  const std::string name = NewContainerName(NewUuid() + ".1");
  RunPodman({"create", "--name", name, "localhost/busybox:latest", "true"});
  RunPodman({"create", "--name", "other", "localhost/busybox:latest", "true"});
  KillNode();
  StartNode();
  EXPECT_TRUE(Eventually([&] { return RunPodman({"ps", "--all", "--format", "{{.Names}}"}).output == "other\n"; }));
}

TEST_P(ContainerTest, ImagesThatNobodyUsesAreRemoved) {
  MakeImage("localhost/other:latest");
  StartAttemptRequest start = ContainerJob({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); })) << ReadAll(DirOf(start).run_log());
  const LaterClock clock;
  const ImageCleanup cleanup({*podman_, clock, ""});
  const auto images = [&] {
    return RunPodman({"images", "--sort", "repository", "--format", "{{.Repository}}"}).output;
  };
  cleanup.CleanUp({});  // counts as a use of those that were not pulled
  EXPECT_EQ(images(), "localhost/busybox\nlocalhost/other\n");
  cleanup.CleanUp({});
  EXPECT_EQ(images(), "localhost/busybox\n") << "a container has it";
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_TRUE(Eventually([&] { return RunPodman({"ps", "--all", "--quiet"}).output.empty(); }));
  cleanup.CleanUp({});
  EXPECT_EQ(images(), "");
}

INSTANTIATE_TEST_SUITE_P(Isolation, ContainerTest, ::testing::Values(kIsolationNone));

// The machine's Podman reads what devices there are, and what each of them needs, from files of a directory. Here GPUs
// are devices that take no byte.
class CdiTest : public ContainerTest {
 protected:
  static constexpr char kDirectory[] = "/run/cdi";
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can describe devices to Podman";
    std::filesystem::create_directories(kDirectory);
    std::vector<std::string> devices, lines = {"#!/bin/sh"};
    for (const std::string& gpu : {gpu_, other_}) {
      ASSERT_EQ(mknod(FileOf(gpu).c_str(), S_IFCHR | 0666, makedev(1, 7)), 0);
      ASSERT_EQ(chmod(FileOf(gpu).c_str(), 0666), 0);
      devices.push_back(absl::StrCat(R"({"name": ")", gpu, R"(", "containerEdits": {"deviceNodes": [{"path": ")",
                                     FileOf(gpu), R"("}]}})"));
      lines.push_back(absl::StrCat("echo '0, ", gpu, ", H100, 81559, 1, 550.1'"));
    }
    WriteAll(file_, absl::StrCat(R"({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [)",
                                 absl::StrJoin(devices, ","), "]}"));
    const std::string bin = directory_ / "bin", query = bin + "/nvidia-smi";
    std::filesystem::create_directories(bin);
    WriteAll(query, absl::StrJoin(lines, "\n"));
    std::filesystem::permissions(query, std::filesystem::perms::owner_all);
    path_ = absl::StrCat(bin, ":", path_);
    ContainerTest::SetUp();
  }
  void TearDown() override {
    ContainerTest::TearDown();
    std::error_code error;
    for (const std::string& path : {file_, FileOf(gpu_), FileOf(other_)}) std::filesystem::remove(path, error);
    std::filesystem::remove(kDirectory, error);  // fails while it has files of others
  }
  static std::string FileOf(const std::string& gpu) { return "/dev/riseml-" + gpu; }

  const std::string gpu_ = "GPU-" + NewUuid(), other_ = "GPU-" + NewUuid();
  const std::string file_ = absl::StrCat(kDirectory, "/riseml-test-", gpu_, ".json");
};

TEST_P(CdiTest, GivesAJobItsOwnGpus) {
  StartAttemptRequest start = ContainerJob({"ls /dev | grep riseml", "echo x > " + FileOf(gpu_)});
  start.add_gpu_uuids(gpu_);
  const AttemptStatus status = RunToEnd(start);
  EXPECT_THAT(LogOf(start).bytes, StartsWith(absl::StrCat("riseml-", gpu_, "\n"))) << status.message();
  EXPECT_THAT(LogOf(start).bytes, AllOf(HasSubstr("No space left on device"), Not(HasSubstr(other_))));
}

INSTANTIATE_TEST_SUITE_P(Isolation, CdiTest, ::testing::Values(kIsolationNone));

// Builds of images: the steps call buildah.
class ImageBuildTest : public ContainerNodeTest {
 protected:
  void SetUp() override {
    network_ = "own";
    const std::string host = registry_.host();
    podman_config_ = absl::StrCat("  build_ports: [", host.substr(host.rfind(':') + 1), "]\n");
    ContainerNodeTest::SetUp();
    suite_.code.Put(kCommit,
                    MakeTar({{"Containerfile",
                              "FROM scratch\nCOPY busybox /bin/busybox\nRUN --mount=type=cache,target=/root/.cache "
                              "[\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox chown 7:7 /bin && echo x >> "
                              "/root/.cache/runs && /bin/busybox cat /root/.cache/runs\"]\n"},
                             {"busybox", ReadAll("/bin/busybox"), '0', "", 0755}}));
  }

  StartAttemptRequest Build(const std::vector<std::string>& steps) {
    StartAttemptRequest start = Job({});
    start.set_role("build");
    start.set_builds_image(true);
    start.mutable_template_()->set_owner_uid(owner_);
    start.mutable_template_()->clear_output_subpath();
    for (const std::string& step : steps) {
      start.add_build_steps()->set_command(step);
      start.mutable_build_steps()->rbegin()->set_title("step");
    }
    return start;
  }

  const oci::testing::RegistryServer registry_;
  const std::string owner_ = NewUuid();
};

TEST_P(ImageBuildTest, BuildsAndSendsAnImage) {
  StartAttemptRequest start = Build({"buildah bud --layers -t built . && echo $RISEML_CODE",
                                     absl::StrCat("buildah push built docker://", registry_.host(), "/made/here:1")});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 0) << status.message() << LogOf(start).bytes << ReadAll(DirOf(start).run_log());
  EXPECT_THAT(LogOf(start).bytes, AllOf(HasSubstr("\nx\n"), HasSubstr("\n/code\n")));
  EXPECT_EQ(RunPodman({"pull", "--quiet", "--tls-verify=false", registry_.host() + "/made/here:1"}).exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return podman_->ListBuildRoots().empty(); }));
}

TEST_P(ImageBuildTest, LaterBuildsOfTheOwnerFindLayersAndCaches) {
  EXPECT_EQ(RunToEnd(Build({"buildah bud --layers -t built ."})).exit_code(), 0);
  StartAttemptRequest start = Build({"buildah bud --layers -t built .", "buildah bud --no-cache -t built ."});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 0) << status.message() << LogOf(start).bytes;
  EXPECT_THAT(LogOf(start).bytes, AllOf(HasSubstr("--> Using cache"), HasSubstr("\nx\nx\n")));
}

TEST_P(ImageBuildTest, LayersOfAnOwnerWhoBuildsNoMoreAreRemoved) {
  EXPECT_EQ(RunToEnd(Build({"buildah bud --layers -t built ."})).exit_code(), 0);
  ASSERT_TRUE(Eventually([&] { return podman_->ListBuildRoots().empty(); }));
  const std::string environments = directory_ / "environments",
                    storage = BuildStorageBelow(environments + "/" + owner_);
  const SystemClock now;
  ImageCleanup({*podman_, now, environments}).CleanUp({});
  EXPECT_TRUE(FileExists(storage));
  const LaterClock later;
  const ImageCleanup cleanup({*podman_, later, environments});
  const std::string build = podman_->BuildRootOf(NewUuid() + ".1");
  std::filesystem::create_directories(build);
  cleanup.CleanUp({});
  EXPECT_TRUE(FileExists(storage)) << "while something is built";
  std::filesystem::remove(build);
  ImageCleanup({*podman_, now, environments, 1'000'000'000}).CleanUp({});
  EXPECT_TRUE(FileExists(storage));
  ImageCleanup({*podman_, now, environments, 1000}).CleanUp({});
  EXPECT_FALSE(FileExists(storage)) << "too large";
  EXPECT_EQ(RunToEnd(Build({"buildah bud --layers -t built ."})).exit_code(), 0);
  ASSERT_TRUE(Eventually([&] { return podman_->ListBuildRoots().empty(); }));
  cleanup.CleanUp({});
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(storage).parent_path()));
  EXPECT_EQ(RunToEnd(Build({"buildah bud --layers -t built ."})).exit_code(), 0) << "anew";
}

TEST_P(ImageBuildTest, ReachesNoOtherPortOfTheMachine) {
  const oci::testing::RegistryServer other;
  StartAttemptRequest start = Build({absl::StrCat("buildah pull --tls-verify=false ", other.host(), "/a/b:1")});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_NE(status.exit_code(), 0);
  EXPECT_THAT(LogOf(start).bytes, HasSubstr("connection refused"));
}

INSTANTIATE_TEST_SUITE_P(Isolation, ImageBuildTest, ::testing::Values(kIsolationNone));

}  // namespace
}  // namespace riseml::agent
