#include "services/agent/node/inventory.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/process/proc_field.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;
constexpr std::int64_t kMaxProcFile = 4 << 20;
constexpr std::size_t kMaxGpuText = 1 << 20;
// nvidia-modprobe makes the device files that CUDA needs; otherwise the first CUDA program of root makes them.
constexpr char kGpuQuery[] =
    "command -v nvidia-modprobe >/dev/null && nvidia-modprobe -u -c 0 >/dev/null 2>&1; "
    "command -v nvidia-smi >/dev/null && timeout 20 nvidia-smi "
    "--query-gpu=index,uuid,name,memory.total,serial,driver_version --format=csv,noheader,nounits 2>/dev/null";

std::string ReadProc(const std::string& path) { return ReadFile(path, kMaxProcFile).value_or(""); }

std::string AskForGpus() {
  struct Close {
    void operator()(FILE* file) const { pclose(file); }
  };
  const std::unique_ptr<FILE, Close> pipe(popen(kGpuQuery, "re"));
  std::string text;
  char buffer[4096];
  while (pipe != nullptr && text.size() < kMaxGpuText) {
    const std::size_t n = fread(buffer, 1, sizeof buffer, pipe.get());
    if (n == 0) break;
    text.append(buffer, n);
  }
  return text;
}

double Cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

std::string AgentVersion() { return RISEML_VERSION; }

GpuInventory ParseGpus(absl::string_view csv) {
  GpuInventory inventory;
  for (const absl::string_view line : absl::StrSplit(csv, '\n')) {
    std::vector<std::string> fields = absl::StrSplit(line, ',');
    for (std::string& field : fields) absl::StripAsciiWhitespace(&field);
    v1::Gpu gpu;
    std::int32_t index = 0;
    std::int64_t mebibytes = 0;
    if (fields.size() != 6 || !absl::SimpleAtoi(fields[0], &index) || fields[1].empty() ||
        !absl::SimpleAtoi(fields[3], &mebibytes))
      continue;
    gpu.set_index(index);
    gpu.set_uuid(fields[1]);
    gpu.set_model(fields[2]);
    gpu.set_memory_bytes(mebibytes * kMebibyte);
    if (fields[4] != "[N/A]" && fields[4] != "0") gpu.set_serial(fields[4]);
    inventory.gpus.push_back(gpu);
    inventory.driver_version = fields[5];
  }
  return inventory;
}

std::string ParseCpuModel(absl::string_view cpuinfo) { return std::string(ProcField(cpuinfo, "model name")); }

std::int64_t ParseMemory(absl::string_view meminfo) {
  const std::vector<absl::string_view> words = absl::StrSplit(ProcField(meminfo, "MemTotal"), ' ', absl::SkipEmpty());
  std::int64_t kibibytes = 0;
  return words.size() == 2 && words[1] == "kB" && absl::SimpleAtoi(words[0], &kibibytes) ? kibibytes * 1024 : 0;
}

v1::Node LookAtMachine(const config::v1::NodeConfig& config, absl::string_view isolation) {
  v1::Node node;
  node.set_name(absl::StrCat("nodes/", config.name()));
  node.set_ready(true);
  node.set_cpus(config.cpus() > 0 ? config.cpus() : Cores());
  node.set_memory_bytes(config.memory_bytes() > 0 ? config.memory_bytes() : ParseMemory(ReadProc("/proc/meminfo")));
  node.set_cpu_model(ParseCpuModel(ReadProc("/proc/cpuinfo")));
  utsname system{};
  if (uname(&system) == 0) node.set_kernel_version(system.release);
  node.set_agent_version(AgentVersion());
  node.set_isolation(isolation == "none"     ? v1::Node::NONE
                     : isolation == "podman" ? v1::Node::PODMAN
                                             : v1::Node::BUBBLEWRAP);
  const GpuInventory inventory = ParseGpus(AskForGpus());
  for (const v1::Gpu& gpu : inventory.gpus) *node.add_gpus() = gpu;
  node.set_gpu_driver_version(inventory.driver_version);
  (*node.mutable_labels())["kubernetes.io/hostname"] = config.name();
  *node.mutable_data_paths() = config.data_paths();
  return node;
}

}  // namespace riseml::agent
