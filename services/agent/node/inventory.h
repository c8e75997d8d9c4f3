// Detects the resources of this machine.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/v1/node.pb.h"

namespace riseml::agent {

struct GpuInventory {
  std::vector<v1::Gpu> gpus;
  std::string driver_version;
};

// Parses the output of `nvidia-smi --query-gpu=index,uuid,name,memory.total,serial,driver_version
// --format=csv,noheader,nounits`. Skips lines of another form.
GpuInventory ParseGpus(absl::string_view csv);

// Model of the first processor in the text of /proc/cpuinfo; empty if the text has none.
std::string ParseCpuModel(absl::string_view cpuinfo);

// Bytes of memory in the text of /proc/meminfo; 0 if the text does not say.
std::int64_t ParseMemory(absl::string_view meminfo);

// Inspects this machine. Configured cores and memory override the detected ones. `isolation`: "bubblewrap" or "none".
v1::Node LookAtMachine(const config::v1::NodeConfig& config, absl::string_view isolation);

// Version of this program.
std::string AgentVersion();

}  // namespace riseml::agent
