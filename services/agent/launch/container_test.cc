// Containers of jobs: their command line, their variables, and the files of settings for Podman and buildah.
#include "services/agent/launch/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "absl/strings/str_join.h"
#include "services/agent/launch/build_root.h"
#include "services/agent/launch/container_variables.h"
#include "services/agent/launch/podman.h"
#include "services/agent/launch/podman_settings.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using namespace riseml::agent::testing;

std::string LineOf(const ContainerRequest& request) {
  return absl::StrJoin(ContainerArguments(request, {"run", "x"}), " ");
}

TEST(Container, HasNothingButWhatIsNamed) {
  ContainerRequest request;
  request.podman = {"podman", "--root", "/s"};
  request.name = "riseml-1";
  request.image = "r.example/a@sha256:1";
  request.job = "/opt/riseml-job";
  request.control = "/d/control";
  request.temporary = "/d/tmp";
  request.descriptors = 5;
  EXPECT_THAT(ContainerArguments(request, {"run", "x"}),
              ElementsAre("podman", "--root", "/s", "run", "--rm", "--name", "riseml-1", "--pull", "never",
                          "--log-driver", "none", "--no-healthcheck", "--image-volume", "ignore", "--systemd", "false",
                          "--http-proxy=false", "--user", "0:0", "--cap-drop", "all", "--security-opt",
                          "no-new-privileges", "--shm-size", "1073741824", "--pids-limit", "-1", "--network", "host",
                          "--mount", "type=bind,source=/d/tmp,destination=/tmp", "--mount",
                          "type=bind,source=/d/control,destination=/run/riseml", "--mount",
                          "type=bind,source=/opt/riseml-job,destination=/run/riseml-job,ro=true", "--preserve-fds", "5",
                          "--workdir", "/code", "--entrypoint", "/run/riseml-job", "r.example/a@sha256:1", "run", "x"));
}

TEST(Container, RootInsideIsNobodyOutside) {
  EXPECT_THAT(LineOf({.as_root = true}), HasSubstr(" --uidmap 0:2000000000:65536 --gidmap 0:2000000000:65536 "));
  EXPECT_THAT(LineOf({}), Not(HasSubstr("--uidmap")));
}

TEST(Container, HasTheLimitsOfTheJob) {
  ContainerRequest request;
  request.memory_bytes = 64 << 20;
  request.cpus = 1.5;
  request.most_processes = 100;
  EXPECT_THAT(LineOf(request), HasSubstr(" --shm-size 67108864 --memory 67108864 --memory-swap 67108864 --cpus 1.5 "
                                         "--pids-limit 100 "));
  request.limits = false;
  EXPECT_THAT(LineOf(request), AllOf(HasSubstr("--shm-size 67108864"), Not(HasSubstr("--memory"))));
}

TEST(Container, OneOfItsPortsLeadsToTheMachine) {
  ContainerRequest request{.own_network = true};
  EXPECT_THAT(LineOf(request), HasSubstr(" --network slirp4netns:port_handler=slirp4netns "));
  EXPECT_THAT(LineOf(request), Not(HasSubstr("--publish")));
  request.port = 20001;
  EXPECT_THAT(LineOf(request), HasSubstr(" --publish 127.0.0.1:20001:20001/tcp "));
}

TEST(Container, SeesVolumesAtBothNames) {
  ContainerRequest request;
  request.output = "/v/out/1";
  request.shared = "/v/out/shared";
  request.inputs["model"] = "/v/other/26";
  request.data = "/v/data";
  request.data_paths["mnist"] = "/big/mnist";
  request.cache = "/e/u/work/container-cache";
  request.python_client = "/client";
  request.gpu_devices = {"nvidia.com/gpu=GPU-1"};
  const std::string line = LineOf(request);
  for (const char* mount :
       {"source=/v/out/1,destination=/v/out/1 ", "source=/v/out/1,destination=/output ",
        "source=/v/out/shared,destination=/shared ", "source=/v/other/26,destination=/v/other/26,ro=true ",
        "source=/v/other/26,destination=/inputs/model,ro=true ", "source=/v/data,destination=/data,ro=true ",
        "source=/big/mnist,destination=/data/mnist,ro=true ", "source=/big/mnist,destination=/v/data/mnist,ro=true ",
        "source=/e/u/work/container-cache,destination=/e/u/work/container-cache ",
        "source=/client,destination=/client,ro=true ", "--device nvidia.com/gpu=GPU-1 "})
    EXPECT_THAT(line, HasSubstr(mount));
}

TEST(Container, IsNamedAfterItsAttempt) {
  const std::string name = NewContainerName("0a.2");
  EXPECT_EQ(name.substr(0, 12), "riseml-0a.2_");
  EXPECT_NE(NewContainerName("0a.2"), name);
  EXPECT_EQ(AttemptOfContainer(name), "0a.2");
  EXPECT_EQ(AttemptOfContainer("probe-1"), "");
}

TEST(Container, FindsDescriptionsOfGpus) {
  TemporaryDirectory root;
  EXPECT_FALSE(LooksLikeCdi({root / "none", root.path()}));
  WriteAll(root / "other.yaml", "kind: vendor.com/net\n");
  EXPECT_FALSE(LooksLikeCdi({root.path()}));
  WriteAll(root / "nvidia.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n");
  EXPECT_TRUE(LooksLikeCdi({root.path()}));
}

TEST(Container, OfABuildHasTheProgramsOfTheMachineAndNoneOfItsSecrets) {
  SystemView system;
  system.directories = {"/usr", "/etc", "/opt", "/run/resolv.conf"};
  system.resolv_conf = "/run/resolv.conf";
  system.hidden_files = {"/etc/shadow", "/usr/etc/pip.conf"};
  system.hidden_directories = {"/usr/lib/riseml"};
  ContainerRequest request;
  request.rootfs = "/d/root";
  request.code = "/d/code";
  AddBuildSurroundings(system, "/e/u/work/containers", &request);
  const std::string line = LineOf(request);
  EXPECT_THAT(line, AllOf(HasSubstr("source=/usr,destination=/usr,ro=true "),
                          HasSubstr("source=/dev/null,destination=/usr/etc/pip.conf,ro=true "),
                          HasSubstr("type=tmpfs,destination=/usr/lib/riseml,"),
                          HasSubstr("source=/e/u/work/containers/layers,destination=/var/lib/containers "),
                          HasSubstr("source=/d/code,destination=/code "), HasSubstr("--cap-add SYS_ADMIN "),
                          HasSubstr(" --rootfs /d/root run x")));
  EXPECT_THAT(line, AllOf(Not(HasSubstr("shadow")), Not(HasSubstr("destination=/etc ")),
                          Not(HasSubstr("destination=/opt")), Not(HasSubstr("resolv.conf"))));
}

TEST(BuildRoot, HasLinksAndAnAccount) {
  TemporaryDirectory directory;
  SystemView system;
  system.links = {{"/bin", "usr/bin"}};
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(MakeBuildRoot(directory / "root", system).ok());
  EXPECT_EQ(std::filesystem::read_symlink(directory / "root/bin"), "usr/bin");
  EXPECT_THAT(ReadAll(directory / "root/etc/passwd"), HasSubstr("root:x:0:0"));
  ASSERT_TRUE(WriteBuildahSettings(directory / "control", directory / "home", {}, {5000}).ok());
  EXPECT_EQ(ReadAll(directory / "control/containers/registries.conf"),
            "[[registry]]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n");
  EXPECT_TRUE(FileExists(directory / "home/.config/containers/policy.json"));
}

TEST(BuildStorage, LooksOldOnceItsLastBuildIsForgotten) {
  TemporaryDirectory directory;
  const std::string storage = directory / "containers";
  ASSERT_TRUE(MakeBuildStorage(storage).ok());
  ASSERT_TRUE(ForgetLastBuild(storage).ok());
  struct stat last_build {};
  ASSERT_EQ(stat(LastBuildIn(storage).c_str(), &last_build), 0);
  EXPECT_EQ(last_build.st_mtim.tv_sec, 0);
  EXPECT_FALSE(ForgetLastBuild(directory / "absent").ok());
}

TEST(PodmanSettings, FitTheMachine) {
  PodmanMachine machine;
  machine.has_runc = true;
  machine.open_files = 1024;
  machine.most_open_files = 20000;
  EXPECT_EQ(ContainersConf(machine, "/s/state"),
            "[containers]\ndefault_ulimits = [\"nofile=1024:20000\", \"nproc=-1:-1\"]\n[engine]\nruntime = \"runc\"\n"
            "cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\ntmp_dir = \"/s/state\"\n");
  machine.unified_cgroups = machine.systemd = true;
  EXPECT_THAT(ContainersConf(machine, "/s/state"),
              AllOf(Not(HasSubstr("runtime =")), HasSubstr("cgroup_manager = \"systemd\"")));
}

TEST(PodmanSettings, TheRunDirectoryHasAShortPath) {
  EXPECT_EQ(RunDirectoryOf("/var/lib/riseml/containers", true), "/var/lib/riseml/containers/run");
  const std::string path = RunDirectoryOf("/srv/" + std::string(60, 'x'), true);
  EXPECT_THAT(path, ::testing::StartsWith("/run/riseml-"));
  EXPECT_LE(path.size(), 32u);
}

TEST(PodmanSettings, CredentialsAreForTheRegistryOfTheImage) {
  EXPECT_EQ(*AuthFile("127.0.0.1:5000/a/b@sha256:1", "paul", "p"),
            R"({"auths": {"127.0.0.1:5000": {"auth": "cGF1bDpw"}}})"
            "\n");
  EXPECT_EQ(*AuthFile("127.0.0.1:5000/a/b@sha256:1", "", ""), "{}\n");
  EXPECT_FALSE(AuthFile("busybox", "paul", "p").ok());
  EXPECT_FALSE(AuthFile("a\"b/c", "paul", "p").ok());
}

TEST(PullError, SaysWhatItMeans) {
  const absl::Status unknown = PullError(
      "r.example/a@sha256:1",
      "Trying to pull r.example/a@sha256:1...\nError: initializing source docker://r.example/a@sha256:1: reading "
      "manifest sha256:1 in r.example/a: manifest unknown: manifest unknown\n");
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(
      std::string(unknown.message()),
      ::testing::StartsWith("the image r.example/a@sha256:1 cannot be pulled: the registry does not have it ("));
  EXPECT_EQ(PullError("a/b", "Error: dial tcp 127.0.0.1:1: connect: connection refused").code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(PullError("a/b", "Error: unauthorized: authentication required").code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(PullError("a/b", "").message(), "the image a/b cannot be pulled: podman says nothing");
}

TEST(ContainerVariables, ThoseOfTheImageStayAndItsProgramsComeFirst) {
  internal::v1::StartAttemptRequest start;
  (*start.mutable_template_()->mutable_variables())["MODE"] = "job";
  JobPaths paths;
  paths.control = "/run/riseml";
  paths.temporary = "/tmp";
  paths.python_client = "/client";
  const Variables node = {
      {"SSL_CERT_FILE", "/etc/node.pem"}, {"HTTPS_PROXY", "http://proxy:3128"}, {"LC_ALL", "de_DE"}};
  const Variables image = {{"PATH", "/opt/conda/bin:/bin"}, {"MODE", "image"}, {"CONDA", "1"},
                           {"PYTHONPATH", "/opt/lib"},      {"HOME", "/root"}, {"LANG", "en_US.UTF-8"}};
  const Variables out = ContainerVariables(start, paths, {}, node, image);
  EXPECT_EQ(out.at("PATH"), "/opt/conda/bin:/bin:/tmp/home/.local/bin:/run/riseml/tools");
  EXPECT_EQ(out.at("PYTHONPATH"), "/opt/lib:/client");
  EXPECT_EQ(out.at("MODE"), "job");
  EXPECT_EQ(out.at("CONDA"), "1");
  EXPECT_EQ(out.at("HOME"), "/tmp/home");
  EXPECT_EQ(out.at("LANG"), "en_US.UTF-8");
  EXPECT_EQ(out.at("HTTPS_PROXY"), "http://proxy:3128");
  EXPECT_FALSE(out.contains("SSL_CERT_FILE") || out.contains("LC_ALL"));
  EXPECT_EQ(ContainerVariables(start, paths, {}, node, {}).at("PYTHONPATH"), "/client");
  EXPECT_THAT(BuildahVariables("/run/riseml/containers"), ::testing::Contains(Pair("BUILDAH_ISOLATION", "chroot")));
  EXPECT_EQ(BuildahVariables("/run/riseml/containers").at("RISEML_LAYERS"), "/var/lib/containers");
}

}  // namespace
}  // namespace riseml::agent
