// The device files of GPUs, so that a job can open those of its own GPUs only.
#pragma once

#include <string>
#include <vector>

namespace riseml::agent {

// Directories of the driver that tell the number of a GPU's device file, and that hold the files.
struct GpuPaths {
  std::string information = "/proc/driver/nvidia/gpus";  // */information names "GPU UUID" and "Device Minor"
  std::string devices = "/dev";
};

struct GpuDevices {
  std::vector<std::string> paths;          // sorted; those of the GPUs and those that every CUDA program opens
  std::vector<std::string> unknown_uuids;  // GPUs whose device file was not found
  bool unified_memory = true;              // false: its device file is missing, and CUDA does not start
};

// Finds what a job with these GPUs needs; nothing for no GPUs. The files are looked for at each call, since the driver
// makes some of them only when the first program uses a GPU.
GpuDevices FindGpuDevices(const std::vector<std::string>& uuids, const GpuPaths& paths = {});

// Lines for the log of a job that cannot open its GPUs; empty: none.
std::vector<std::string> NotesOnGpus(const GpuDevices& devices);

}  // namespace riseml::agent
