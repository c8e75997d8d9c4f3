// Container of a job: makes a command line for Podman from a description. Pure, except for the last functions.
//
// A container has the file system of its image, and the paths of a sandbox (sandbox.h): it can write to its own /tmp,
// control and output directory, the directory of its set and the cache of its user, and sees the data volume, its
// inputs, riseml-job and the Python client read-only. The code is in the image, at /code. Root inside of the container
// is an account of the machine that owns nothing but these directories, and has no capability. So a job may do to its
// image what it wants, and needs no account there.
//
// A container of a node without root has the accounts that /etc/subuid gives to the node's: root inside is the node's
// account.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/launch/sandbox.h"

namespace riseml::agent {

// Accounts of this machine that containers of a node with root have: 65,536 of them, above those that Debian and
// systemd give away. They are the same for all jobs, which therefore can share the directory of a set.
inline constexpr std::int64_t kFirstContainerUid = 2'000'000'000;
inline constexpr std::int64_t kContainerUids = 65'536;

struct ContainerRequest {
  std::vector<std::string> podman;  // the program with the options of its storage
  std::string name;                 // of the container; unique in the storage
  std::string image;                // reference; empty: `rootfs` is used
  std::string rootfs;               // directory with the file system; the container may change it
  bool as_root = false;             // the caller is root: the container gets the accounts of kFirstContainerUid
  bool limits = true;               // cgroups can limit memory, processors and processes
  std::string job;                  // path of riseml-job
  std::string control, temporary;
  std::string code;                               // empty: it is in the image
  std::string output, shared;                     // empty: none
  std::map<std::string, std::string> inputs;      // directories to show read-only, by name
  std::string data;                               // empty: none
  std::map<std::string, std::string> data_paths;  // directories to show below `data`, by name
  std::string cache;                              // empty: none; shown at its own path and writable
  std::string python_client;                      // empty: none; shown at its own path
  std::map<std::string, std::string> mounts;      // further writable directories, by path in the container
  std::map<std::string, std::string> read_only;   // further files and directories, by path in the container
  std::vector<std::string> hidden_directories;    // replaced by empty ones
  std::vector<std::string> capabilities;          // kept, inside of its user namespace; normally none
  std::int64_t memory_bytes = 0;                  // 0: no limit, and 1 GiB for its /dev/shm
  double cpus = 0;                                // 0: no limit
  std::int64_t most_processes = 0;                // 0: no limit
  bool own_network = false;                       // otherwise it has that of the machine
  int port = 0;                                   // of 127.0.0.1 that leads into the own network; 0: none
  std::vector<std::string> gpu_devices;           // device files, or names of CDI devices
  int descriptors = 0;                            // passed to the container, from 3
};

// Command line that runs riseml-job with the arguments `command` as process 1 of a new container, and removes the
// container at its end.
std::vector<std::string> ContainerArguments(const ContainerRequest& request, const std::vector<std::string>& command);

// Name for a new container of an attempt, "riseml-<job uid>.<attempt>_<random>", and back; empty for other names. A
// node that died while it started a container starts another one, and the first to lock the journal runs the job.
std::string NewContainerName(const std::string& attempt);
std::string AttemptOfContainer(const std::string& name);

// Makes root of the containers the owner of a file, of a directory or of a link itself; and of a whole tree, which no
// job may have written to. Only for callers with root.
absl::Status GiveToContainers(const std::string& path);
absl::Status GiveTreeToContainers(const std::string& top);

// True if a file in the directories describes the GPUs of NVIDIA for the Container Device Interface.
bool LooksLikeCdi(const std::vector<std::string>& directories = {"/etc/cdi", "/var/run/cdi"});

}  // namespace riseml::agent
