// The view of the machine that a job has, the notes on it in its log, and the inventory that the machine offers.
#include "services/agent/launch/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/agent/launch/notes.h"
#include "services/agent/node/inventory.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace riseml::agent::testing;

// A build that could write to the directory of its user could put links in the place of what jobs are shown.
TEST(Sandbox, ABuildSeesNothingThatHoldsMountsOfOtherJobs) {
  SandboxRequest request;
  request.work = "/e/u/work";
  request.environment = "/e/u/key";
  EXPECT_THAT(absl::StrJoin(SandboxArguments(request, {}, {}), " "),
              HasSubstr("--bind /e/u/work /e/u/work --ro-bind /e/u/key /e/u/key --bind"));
  request.environment = "/e/u/work/key";
  request.environment_writable = true;
  const std::string line = absl::StrJoin(SandboxArguments(request, {}, {}), " ");
  EXPECT_THAT(line, HasSubstr("--bind /e/u/work /e/u/work"));
  EXPECT_THAT(line, Not(HasSubstr("/e/u/work/key")));
}

TEST(Sandbox, ShowsTheProcessors) {
  EXPECT_THAT(absl::StrJoin(SandboxArguments({}, {.processors = true}, {}), " "),
              HasSubstr("--ro-bind /sys/devices/system /sys/devices/system"));
}

TEST(Notes, TellWhatDoesNotExistWithoutASandbox) {
  internal::v1::StartAttemptRequest start;
  start.mutable_template_()->add_commands("ls my/data $X/code; cp a '/output/x' /database");
  EXPECT_THAT(NotesOnPlainPaths(start), ElementsAre(HasSubstr("/output does not exist here")));
  start.add_build_steps()->set_command("pip install -e .");
  EXPECT_THAT(NotesOnPlainPaths(start), Contains(HasSubstr("An editable install")));
}

TEST(Notes, TellLinksThatLeadOutOfTheData) {  // case 10
  TemporaryDirectory root;
  ASSERT_TRUE(MakeDirectories(root / "data/own").ok());
  std::filesystem::create_symlink("own", root / "data/second");
  std::filesystem::create_symlink("/usr/share", root / "data/shown");
  std::filesystem::create_symlink("/srv/bigdisk/mnist", root / "data/mnist");
  config::v1::NodeConfig config;
  config.set_volume_data_dir(root / "data");
  EXPECT_THAT(
      NotesOnData(config, {.directories = {"/usr"}}),
      ElementsAre("/data/mnist is a link to /srv/bigdisk/mnist, which jobs cannot see: after `riseml down`, run "
                  "`riseml up --data mnist=/srv/bigdisk/mnist` (with --dir, if you use it)"));
  std::filesystem::create_symlink("/srv/my disk", root / "data/other");
  WriteAll(root / "one.csv", "1");
  std::filesystem::create_symlink(root / "one.csv", root / "data/one.csv");
  EXPECT_THAT(NotesOnData(config, {.directories = {"/usr"}}),
              ElementsAre(HasSubstr("run `riseml up --data 'other=/srv/my disk' --data mnist=/srv/bigdisk/mnist`"),
                          HasSubstr("/data/one.csv is a link to the file")));
}

TEST(Notes, NameDataThatIsGone) {
  TemporaryDirectory root;
  for (const char* path : {"data/here", "data/gone", "disk"}) ASSERT_TRUE(MakeDirectories(root / path).ok());
  config::v1::NodeConfig config;
  config.set_volume_data_dir(root / "data");
  (*config.mutable_data_paths())["here"] = root / "disk";
  (*config.mutable_data_paths())["gone"] = root / "unmounted";
  (*config.mutable_data_paths())["nowhere"] = root / "disk";
  EXPECT_THAT(PresentDataPaths(config), ElementsAre(::testing::Pair("here", root / "disk")));
  EXPECT_THAT(NotesOnData(config, {}),
              ElementsAre(HasSubstr("/data/gone is missing: "), HasSubstr("/data/nowhere is")));
}

TEST(Sandbox, ShowsNothingButWhatItNames) {
  SystemView system;
  system.links = {{"/bin", "usr/bin"}};
  system.directories = {"/usr", "/etc"};
  system.hidden_files = {"/etc/shadow"};
  system.hidden_directories = {"/etc/ssl/private"};
  SandboxRequest request;
  request.job = "/opt/riseml-job";
  request.control = "/d/control";
  request.code = "/d/code";
  request.temporary = "/d/tmp";
  EXPECT_THAT(SandboxArguments(request, system, {"true", "x"}),
              ElementsAre("/usr/bin/bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1",
                          "--cap-drop", "ALL", "--unshare-user", "--disable-userns", "--size", "1048576", "--tmpfs",
                          "/", "--symlink", "usr/bin", "/bin", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
                          "--ro-bind", "/dev/null", "/etc/shadow", "--tmpfs", "/etc/ssl/private", "--proc", "/proc",
                          "--dev", "/dev", "--perms", "1777", "--size", "1073741824", "--tmpfs", "/dev/shm", "--bind",
                          "/d/tmp", "/tmp", "--bind", "/d/control", "/run/riseml", "--bind", "/d/code", "/code",
                          "--ro-bind", "/opt/riseml-job", "/run/riseml-job", "--remount-ro", "/etc/ssl/private",
                          "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/code", "--", "true", "x"));
}

TEST(Sandbox, HidesAnInstallationBelowWhatItShows) {
  EXPECT_THAT(LookAtSystem({}, "/usr/share/riseml").hidden_directories, Contains("/usr/share/riseml"));
  EXPECT_THAT(LookAtSystem({}, "/var/lib/riseml").hidden_directories, Not(Contains("/var/lib/riseml")));
}

TEST(Sandbox, ShowsVolumesEnvironmentAndGpusWhenThereAreAny) {
  SystemView system;
  SandboxRequest request{.as_root = true};
  request.output = "/v/out/1";
  request.shared = "/v/out/shared";
  request.inputs["model"] = "/v/other/26";
  request.data = "/v/data";
  request.environment = "/env/key";
  request.python_client = "/client";
  request.gpu_devices = {"/dev/nvidia3"};
  const std::string line = absl::StrJoin(SandboxArguments(request, system, {}), " ");
  EXPECT_THAT(line, HasSubstr(" --bind /v/out/shared /v/out/shared --bind /v/out/shared /shared "));
  EXPECT_THAT(line, HasSubstr(" --ro-bind /v/other/26 /v/other/26 --ro-bind /v/other/26 /inputs/model "));
  EXPECT_THAT(line, HasSubstr("--uid 1000 --gid 1000"));
  EXPECT_THAT(line, HasSubstr("--bind /v/out/1 /v/out/1 --bind /v/out/1 /output"));
  EXPECT_THAT(line, HasSubstr("--ro-bind /v/data /v/data --ro-bind /v/data /data"));
  EXPECT_THAT(line, HasSubstr("--ro-bind /env/key /env/key"));
  EXPECT_THAT(line, HasSubstr("--ro-bind /client /client"));
  EXPECT_THAT(line, HasSubstr("--dev-bind /dev/nvidia3 /dev/nvidia3"));
  request.environment_writable = true;
  EXPECT_THAT(absl::StrJoin(SandboxArguments(request, system, {}), " "), HasSubstr(" --bind /env/key /env/key"));
}

TEST(Inventory, ParsesGpus) {
  const GpuInventory inventory = ParseGpus(
      "0, GPU-6a1f, NVIDIA H200, 143771, 1650000000000, 560.35.03\n1, GPU-77, Tesla, V100, x\n"
      "1, GPU-77, NVIDIA A10, 23028, [N/A], 560.35.03\n\nNo devices were found\n");
  ASSERT_EQ(inventory.gpus.size(), 2u);
  EXPECT_EQ(inventory.gpus[0].uuid(), "GPU-6a1f");
  EXPECT_EQ(inventory.gpus[0].model(), "NVIDIA H200");
  EXPECT_EQ(inventory.gpus[0].memory_bytes(), std::int64_t{143771} << 20);
  EXPECT_EQ(inventory.gpus[0].serial(), "1650000000000");
  EXPECT_EQ(inventory.gpus[1].index(), 1);
  EXPECT_EQ(inventory.gpus[1].serial(), "");
  EXPECT_EQ(inventory.driver_version, "560.35.03");
  EXPECT_THAT(ParseGpus("").gpus, IsEmpty());
}

TEST(Inventory, ParsesTheMachine) {
  EXPECT_EQ(ParseCpuModel("processor\t: 0\nmodel name\t: Xeon @ 2: x\nmodel name\t: other\n"), "Xeon @ 2: x");
  EXPECT_EQ(ParseCpuModel(""), "");
  EXPECT_EQ(ParseMemory("MemTotal:       24117248 kB\nMemFree: 1 kB\n"), std::int64_t{24117248} * 1024);
  EXPECT_EQ(ParseMemory("nothing"), 0);
}

}  // namespace
}  // namespace riseml::agent
