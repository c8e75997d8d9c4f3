#include "services/agent/machine/gpu_devices.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A machine with two GPUs. The text has the form of driver 580.159.04; the minors are in another order than the paths.
class GpuDevicesTest : public ::testing::Test {
 protected:
  GpuDevicesTest() {
    Describe("0000:00:06.0", "GPU-174d2520", 1);
    Describe("0000:00:07.0", "GPU-9a0b77c1", 0);
    for (const char* name : {"null", "nvidia0", "nvidia1", "nvidia-uvm", "nvidia-uvm-tools", "nvidiactl"}) Touch(name);
    std::filesystem::create_directories(paths_.devices + "/nvidia-caps");
  }

  void Describe(const std::string& bus, const std::string& uuid, int minor) const {
    const std::string directory = paths_.information + "/" + bus;
    std::filesystem::create_directories(directory);
    ASSERT_TRUE(WriteFileQuickly(
                    directory + "/information",
                    absl::StrCat("Model: \t\t NVIDIA H200\nIRQ:   \t\t 41\nGPU UUID: \t ", uuid, "\nBus Location: \t ",
                                 bus, "\nDevice Minor: \t ", minor, "\nGPU Excluded:\t No\n"))
                    .ok());
  }
  void Touch(const std::string& name) const {
    std::filesystem::create_directories(paths_.devices);
    ASSERT_TRUE(WriteFileQuickly(paths_.devices + "/" + name, "").ok());
  }
  std::string Dev(const std::string& name) const { return paths_.devices + "/" + name; }

  const testing::TemporaryDirectory directory_;
  const GpuPaths paths_ = {directory_ / "gpus", directory_ / "dev"};
};

TEST_F(GpuDevicesTest, AJobGetsItsOwnGpusOnly) {
  const GpuDevices devices = FindGpuDevices({"GPU-174d2520"}, paths_);
  EXPECT_THAT(devices.paths, ElementsAre(Dev("nvidia-uvm"), Dev("nvidia-uvm-tools"), Dev("nvidia1"), Dev("nvidiactl")));
  EXPECT_THAT(NotesOnGpus(devices), IsEmpty());
}

TEST_F(GpuDevicesTest, AJobWithoutGpusGetsNone) {
  const GpuDevices devices = FindGpuDevices({}, paths_);
  EXPECT_THAT(devices.paths, IsEmpty());
  EXPECT_THAT(NotesOnGpus(devices), IsEmpty());
}

TEST_F(GpuDevicesTest, TellsWhatIsMissing) {
  std::filesystem::remove(Dev("nvidia-uvm"));
  std::filesystem::remove(Dev("nvidia0"));
  const GpuDevices devices = FindGpuDevices({"GPU-9a0b77c1", "GPU-0"}, paths_);
  EXPECT_THAT(devices.paths, ElementsAre(Dev("nvidia-uvm-tools"), Dev("nvidiactl")));
  EXPECT_THAT(NotesOnGpus(devices),
              ElementsAre(HasSubstr("GPU GPU-9a0b77c1 has no device file"), HasSubstr("GPU GPU-0 has no"),
                          HasSubstr("/dev/nvidia-uvm is missing")));
}

}  // namespace
}  // namespace riseml::agent
