#include "services/agent/machine/gpu_devices.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "services/agent/process/proc_field.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxInformation = 64 << 10;
constexpr char kUnifiedMemory[] = "nvidia-uvm";
// The control device, tools of unified memory, and the display mode that some libraries ask for.
constexpr const char* kSharedDevices[] = {"nvidiactl", "nvidia-modeset", "nvidia-uvm-tools"};

// Numbers of the device files by UUID.
std::map<std::string, std::string> ReadMinors(const std::string& directory) {
  std::map<std::string, std::string> minors;
  std::error_code error;
  for (const fs::directory_entry& gpu : fs::directory_iterator(directory, error)) {
    const std::string text = ReadFile(gpu.path() / "information", kMaxInformation).value_or("");
    if (const absl::string_view uuid = ProcField(text, "GPU UUID"); !uuid.empty())
      minors.emplace(uuid, ProcField(text, "Device Minor"));
  }
  return minors;
}

}  // namespace

GpuDevices FindGpuDevices(const std::vector<std::string>& uuids, const GpuPaths& paths) {
  GpuDevices devices;
  if (uuids.empty()) return devices;
  const auto add = [&](const std::string& name) {
    const std::string path = absl::StrCat(paths.devices, "/", name);
    if (!FileExists(path)) return false;
    devices.paths.push_back(path);
    return true;
  };
  const std::map<std::string, std::string> minors = ReadMinors(paths.information);
  for (const std::string& uuid : uuids) {
    const auto minor = minors.find(uuid);
    if (minor == minors.end() || minor->second.empty() || !add(absl::StrCat("nvidia", minor->second)))
      devices.unknown_uuids.push_back(uuid);
  }
  for (const char* name : kSharedDevices) add(name);
  devices.unified_memory = add(kUnifiedMemory);
  std::ranges::sort(devices.paths);
  return devices;
}

std::vector<std::string> NotesOnGpus(const GpuDevices& devices) {
  std::vector<std::string> notes;
  for (const std::string& uuid : devices.unknown_uuids)
    notes.push_back(absl::StrCat("GPU ", uuid,
                                 " has no device file here that belongs to it, so the job cannot use it: an "
                                 "administrator should look at /proc/driver/nvidia/gpus and /dev of this node"));
  if (!devices.unified_memory)
    notes.push_back(
        "/dev/nvidia-uvm is missing, and CUDA does not start without it: an administrator should run "
        "`nvidia-modprobe -u -c 0` on this node");
  return notes;
}

}  // namespace riseml::agent
