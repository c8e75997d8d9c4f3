#include "services/agent/launch/container.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <initializer_list>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kNamePrefix[] = "riseml-";
constexpr std::size_t kRandomLength = 8;
constexpr char kNvidiaKind[] = "nvidia.com/gpu";
constexpr std::int64_t kContainerSharedMemory = std::int64_t{1} << 30;
constexpr std::int64_t kMaxCdiBytes = 16 << 20;

// Builds the command line.
class ArgumentList {
 public:
  explicit ArgumentList(std::vector<std::string> words) : words_(std::move(words)) {}

  void Add(std::initializer_list<std::string> words) { words_.insert(words_.end(), words); }
  // Options are separated by commas, so a path must not have one.
  void Mount(const std::string& source, const std::string& target, bool read_only) {
    if (source.empty()) return;
    Add({"--mount", absl::StrCat("type=bind,source=", source, ",destination=", target, read_only ? ",ro=true" : "")});
  }
  void MountTwice(const std::string& source, const std::string& second, bool read_only) {
    Mount(source, source, read_only);
    Mount(source, second, read_only);
  }
  std::vector<std::string> Take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
};

void AddLimits(const ContainerRequest& request, ArgumentList& argv) {
  const std::int64_t shared_memory = request.memory_bytes > 0 ? request.memory_bytes : kContainerSharedMemory;
  argv.Add({"--shm-size", absl::StrCat(shared_memory)});
  if (!request.limits) return;
  // No swap beyond the limit: a job that is out of memory ends instead of slowing down the machine.
  if (request.memory_bytes > 0)
    argv.Add({"--memory", absl::StrCat(request.memory_bytes), "--memory-swap", absl::StrCat(request.memory_bytes)});
  if (request.cpus > 0) argv.Add({"--cpus", absl::StrCat(request.cpus)});
  argv.Add({"--pids-limit", absl::StrCat(request.most_processes > 0 ? request.most_processes : -1)});
}

void AddAccounts(const ContainerRequest& request, ArgumentList& argv) {
  argv.Add({"--user", "0:0", "--cap-drop", "all"});
  for (const std::string& capability : request.capabilities) argv.Add({"--cap-add", capability});
  argv.Add({"--security-opt", "no-new-privileges"});
  if (!request.as_root) return;
  const std::string map = absl::StrCat("0:", kFirstContainerUid, ":", kContainerUids);
  argv.Add({"--uidmap", map, "--gidmap", map});
}

void AddNetwork(const ContainerRequest& request, ArgumentList& argv) {
  if (!request.own_network) return argv.Add({"--network", "host"});
  // The handler of slirp4netns needs no further process for each port.
  argv.Add({"--network", "slirp4netns:port_handler=slirp4netns"});
  if (request.port != 0) argv.Add({"--publish", absl::StrCat("127.0.0.1:", request.port, ":", request.port, "/tcp")});
}

void AddMounts(const ContainerRequest& request, ArgumentList& argv) {
  for (const auto& [target, source] : request.read_only) argv.Mount(source, target, true);
  for (const std::string& path : request.hidden_directories)
    argv.Add({"--mount", absl::StrCat("type=tmpfs,destination=", path, ",ro=true,notmpcopyup")});
  argv.Mount(request.temporary, kSandboxTemporary, false);
  argv.Mount(request.control, kSandboxControl, false);
  argv.Mount(request.job, kSandboxJob, true);
  argv.MountTwice(request.data, kSandboxData, true);
  for (const auto& [name, path] : request.data_paths)
    for (const std::string& data : {request.data, std::string(kSandboxData)})
      argv.Mount(path, absl::StrCat(data, "/", name), true);
  argv.MountTwice(request.output, kSandboxOutput, false);
  argv.MountTwice(request.shared, kSandboxShared, false);
  for (const auto& [name, path] : request.inputs) argv.MountTwice(path, absl::StrCat(kSandboxInputs, "/", name), true);
  argv.Mount(request.python_client, request.python_client, true);
  argv.Mount(request.cache, request.cache, false);
  argv.Mount(request.code, kSandboxCode, false);
  for (const auto& [target, source] : request.mounts) argv.Mount(source, target, false);
}

}  // namespace

std::vector<std::string> ContainerArguments(const ContainerRequest& request, const std::vector<std::string>& command) {
  ArgumentList argv(request.podman);
  argv.Add({"run", "--rm", "--name", request.name, "--pull", "never", "--log-driver", "none", "--no-healthcheck",
            "--image-volume", "ignore", "--systemd", "false", "--http-proxy=false"});
  AddAccounts(request, argv);
  AddLimits(request, argv);
  AddNetwork(request, argv);
  AddMounts(request, argv);
  for (const std::string& device : request.gpu_devices) argv.Add({"--device", device});
  if (request.descriptors > 0) argv.Add({"--preserve-fds", absl::StrCat(request.descriptors)});
  argv.Add({"--workdir", kSandboxCode});
  argv.Add({"--entrypoint", kSandboxJob});
  if (!request.rootfs.empty())
    argv.Add({"--rootfs", request.rootfs});
  else
    argv.Add({request.image});
  for (const std::string& word : command) argv.Add({word});
  return argv.Take();
}

std::string NewContainerName(const std::string& attempt) {
  return absl::StrCat(kNamePrefix, attempt, "_", NewUuid().substr(0, kRandomLength));
}

std::string AttemptOfContainer(const std::string& name) {
  absl::string_view attempt = name;
  return absl::ConsumePrefix(&attempt, kNamePrefix) ? std::string(attempt.substr(0, attempt.find('_'))) : std::string();
}

absl::Status GiveToContainers(const std::string& path) {
  if (lchown(path.c_str(), kFirstContainerUid, kFirstContainerUid) == 0) return absl::OkStatus();
  return ErrnoError(errno, absl::StrCat("chown ", path));
}

absl::Status GiveTreeToContainers(const std::string& top) {
  RISEML_RETURN_IF_ERROR(GiveToContainers(top));
  return WalkTree(top, [&top](const TreeEntry& entry) -> absl::StatusOr<bool> {
    RISEML_RETURN_IF_ERROR(GiveToContainers(absl::StrCat(top, "/", entry.path)));
    return true;
  });
}

bool LooksLikeCdi(const std::vector<std::string>& directories) {
  for (const std::string& directory : directories) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
      if (absl::StrContains(ReadFile(entry.path().string(), kMaxCdiBytes).value_or(""), kNvidiaKind)) return true;
  }
  return false;
}

}  // namespace riseml::agent
