// Sandbox of a job: makes a command line for bubblewrap from a description. Pure, except for LookAtSystem and the
// probe.
//
// A job sees these read-only: the system's programs, /etc, the description of the processors, the data volume, its
// inputs, its environment (writable in a build), the Python client, riseml-job and the directories in `shown`. It can
// write to its own /code, /tmp, control and output directory, the directory of its set and its user's work directory,
// and opens the device files of its GPUs. The data volume, inputs, output and set have the same paths as outside;
// /data, /inputs/NAME, /output and /shared are second names. A job sees nothing else of the machine: no directories,
// keys or sockets of the stack, no other jobs and none of their processes.
//
// Each directory that a job can write to is a separate mount. The parents of such directories are not shown to any job:
// otherwise a job could replace such a directory with a link, and the next job would be shown the link's target.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::agent {

// Paths inside the sandbox.
inline constexpr char kSandboxCode[] = "/code";
inline constexpr char kSandboxOutput[] = "/output";
inline constexpr char kSandboxShared[] = "/shared";
inline constexpr char kSandboxData[] = "/data";
inline constexpr char kSandboxInputs[] = "/inputs";
inline constexpr char kSandboxTemporary[] = "/tmp";
inline constexpr char kSandboxControl[] = "/run/riseml";
inline constexpr char kSandboxJob[] = "/run/riseml-job";

// The parts of the machine's file system that jobs may see; determined once at start-up.
struct SystemView {
  struct Link {
    std::string path, target;
  };
  std::vector<Link> links;                      // e.g. /bin → usr/bin
  std::vector<std::string> directories;         // shown read-only, in this order
  std::vector<std::string> hidden_files;        // below a directory shown, replaced by an empty file
  std::vector<std::string> hidden_directories;  // below a directory shown, replaced by an empty directory
  bool processors = false;                      // /sys/devices/system exists
  std::string resolv_conf;                      // target of /etc/resolv.conf; empty: there is none
};

// Looks at this machine. `extra` are further paths to show if they exist and are not shown anyway, such as CA files or
// the directory of an interpreter. `installation` is hidden if it lies below a directory shown; empty: none.
SystemView LookAtSystem(const std::vector<std::string>& extra, const std::string& installation);

struct SandboxRequest {
  std::string bubblewrap = "/usr/bin/bwrap";
  bool as_root = false;  // the caller is root: the job gets another uid in its own user namespace
  std::string job;       // path of riseml-job
  std::string control;
  std::string code;
  std::string temporary;
  std::string output;                             // empty: none
  std::string shared;                             // of the job's set; empty: none
  std::map<std::string, std::string> inputs;      // directories to show read-only, by name
  std::string data;                               // empty: none
  std::map<std::string, std::string> data_paths;  // directories to show below `data`, by name
  std::string environment;  // empty: none; shown at its own path, since virtual environments cannot be moved
  bool environment_writable = false;
  std::string work;           // empty: none; the user's own, shown at its own path and writable: it holds the cache and
                              // environments that are being built, so that files can be linked instead of copied
  std::string python_client;  // empty: none; shown at its own path
  std::vector<std::string> shown;        // further directories, read-only at their own paths
  std::string resolv_conf;               // empty: that of the machine
  std::int64_t memory_bytes = 0;         // requested by the job; bounds its /dev/shm; 0: 1 GiB
  std::vector<std::string> gpu_devices;  // device files
};

// Command line that runs `command` in the sandbox as its process 1, in the directory of the code.
std::vector<std::string> SandboxArguments(const SandboxRequest& request, const SystemView& system,
                                          const std::vector<std::string>& command);

// Processes and threads that a sandboxed job may have: a sixteenth of the machine's process ids, at least 1,024 and at
// most 32,768, so that a few jobs leave ids for all others. The kernel counts them in the user namespace of the
// sandbox; before Linux 5.14, all processes of the account together. Call it outside of a sandbox: a sandbox has
// process ids of its own.
std::int64_t MostProcesses();

// True when `path` is `directory` or lies below it. Both are absolute and have no dots.
bool IsPathBelow(absl::string_view path, absl::string_view directory);

// OK when a sandbox can be made here; otherwise says why not.
absl::Status ProbeSandbox(const SystemView& system, bool as_root);

}  // namespace riseml::agent
