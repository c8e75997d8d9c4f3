// Launcher: attempts that run in containers.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/launch/build_root.h"
#include "services/agent/launch/container.h"
#include "services/agent/launch/container_variables.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/launch/notes.h"
#include "services/agent/launch/shares.h"
#include "services/agent/machine/gpu_devices.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/process/spawn.h"
#include "services/agent/run/port_forwarder.h"
#include "services/agent/run/run_files.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

using internal::v1::StartAttemptRequest;

// Descriptors that every container gets, and one more of the forwarder.
constexpr int kContainerDescriptors = 5;

// Port of the plan that leads into the container; 0: none.
int PortOf(const absl::StatusOr<internal::v1::RunPlan>& plan) {
  int port = 0;
  if (!plan.ok() || !plan->environment().contains("PORT")) return 0;
  return absl::SimpleAtoi(plan->environment().at("PORT"), &port) && IsJobPort(port) ? port : 0;
}

// Lets the accounts of containers read the directory of the data volume. What lies in it keeps its rights.
absl::Status ShowToContainers(const std::string& directory) {
  constexpr mode_t kReadable = 0755;
  struct stat info {};
  if (directory.empty()) return absl::OkStatus();
  if (stat(directory.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", directory));
  if ((info.st_mode & kReadable) == kReadable) return absl::OkStatus();
  LogInfo("data_opened_for_containers", {{"path", directory}});
  if (chmod(directory.c_str(), (info.st_mode & 07777) | kReadable) != 0)
    return ErrnoError(errno, absl::StrCat("let containers read ", directory));
  return absl::OkStatus();
}

// Key of the attempt.
std::string NameOf(const AttemptDir& dir) { return std::filesystem::path(dir.path()).filename().string(); }

}  // namespace

std::string Launcher::BuildRootOf(const AttemptDir& dir) const { return options_.podman->BuildRootOf(NameOf(dir)); }

void Launcher::RemoveBuildRoot(const AttemptDir& dir) const {
  if (options_.podman == nullptr) return;
  if (const absl::Status removed = RemoveTree(BuildRootOf(dir)); !removed.ok())
    LogWarning("build_root_not_removed", {{"attempt", NameOf(dir)}, {"error", std::string(removed.message())}});
}

bool Launcher::IsInContainer(const StartAttemptRequest& start) const {
  return options_.podman != nullptr && (start.has_image() || start.builds_image());
}

absl::Status Launcher::CheckForContainers(const StartAttemptRequest& start) const {
  if (options_.podman != nullptr || !(start.has_image() || start.builds_image())) return absl::OkStatus();
  return Error(Reason::kUnsupported, "this node does not run containers; add `podman` to its configuration");
}

std::string Launcher::BuildStorageOf(const internal::v1::JobTemplate& job) const {
  const std::string user = UserDirectory(job);
  return user.empty() ? user : BuildStorageBelow(user);
}

std::vector<int> Launcher::ForwardedPortsOf(const StartAttemptRequest& start) const {
  if (!start.builds_image() || !options_.own_network) return {};
  return {options_.config.podman().build_ports().begin(), options_.config.podman().build_ports().end()};
}

absl::Status Launcher::PullImage(const AttemptDir& dir, const StartAttemptRequest& start,
                                 const std::stop_token& stop) const {
  return options_.podman->Pull(start.image(), dir.path() + "/auth.json", stop);
}

absl::Status Launcher::PrepareBuildRoot(const AttemptDir& dir, const StartAttemptRequest& start) const {
  const std::string storage = BuildStorageOf(start.template_());
  if (storage.empty())
    return Error(Reason::kUnsupported, "this node builds no images; add `environments_dir` to its configuration");
  RISEML_RETURN_IF_ERROR(MakeDirectories(UserDirectory(start.template_())));
  RISEML_RETURN_IF_ERROR(MakePlainDirectory(WorkOf(start.template_())));
  RISEML_RETURN_IF_ERROR(MakeBuildStorage(storage));
  const std::vector<int> ports = {options_.config.podman().build_ports().begin(),
                                  options_.config.podman().build_ports().end()};
  RISEML_RETURN_IF_ERROR(
      WriteBuildahSettings(dir.control(), dir.temporary() + "/home", options_.podman->machine(), ports));
  return MakeBuildRoot(BuildRootOf(dir), system_);
}

absl::Status Launcher::GiveFilesToContainer(const AttemptDir& dir, const StartAttemptRequest& start,
                                            const std::string& output) const {
  if (geteuid() != 0) return absl::OkStatus();  // root in the container is this account
  RISEML_RETURN_IF_ERROR(ShowToContainers(options_.config.volume_data_dir()));
  for (const std::string& tree : {dir.control(), dir.temporary(), dir.code(), BuildRootOf(dir)})
    if (FileExists(tree)) RISEML_RETURN_IF_ERROR(GiveTreeToContainers(tree));
  for (const std::string& directory : {output, outputs_.PathOf(start.template_().shared_subpath()), CacheOf(start)})
    if (!directory.empty()) RISEML_RETURN_IF_ERROR(GiveToContainers(directory));
  // The directory of a set, unlike those of its children, has been no job's output.
  for (const auto& [name, directory] : outputs_.InputsOf(start.template_()))
    RISEML_RETURN_IF_ERROR(GiveToContainers(directory));
  if (!start.builds_image()) return absl::OkStatus();
  for (const std::string& part : PartsOfBuildStorage(BuildStorageOf(start.template_())))
    RISEML_RETURN_IF_ERROR(GiveToContainers(part));
  return absl::OkStatus();
}

absl::StatusOr<Variables> Launcher::VariablesInContainer(const StartAttemptRequest& start, const JobPaths& paths,
                                                         const JobPorts& ports) const {
  if (start.has_image()) {
    RISEML_ASSIGN_OR_RETURN(const Variables image, options_.podman->EnvironmentOf(start.image().reference(), {}));
    return ContainerVariables(start, paths, ports, options_.environment, image);
  }
  Variables variables = JobVariables(start, paths, ports, options_.environment);
  for (auto& [name, value] : BuildahVariables(absl::StrCat(paths.control, "/", kBuildahSettings)))
    variables.insert_or_assign(name, value);
  return variables;
}

ContainerRequest Launcher::DescribeContainer(const AttemptDir& dir, const StartAttemptRequest& start) const {
  const std::vector<std::string> gpus(start.gpu_uuids().begin(), start.gpu_uuids().end());
  ContainerRequest request;
  request.podman = options_.podman->WordsToRun();
  request.name = NewContainerName(NameOf(dir));
  request.image = start.image().reference();
  request.as_root = geteuid() == 0;
  request.limits = options_.podman->limits();
  request.job = options_.job;
  request.control = dir.control();
  request.temporary = dir.temporary();
  request.output = outputs_.PathOf(start.template_().output_subpath());
  request.shared = outputs_.PathOf(start.template_().shared_subpath());
  request.inputs = outputs_.InputsOf(start.template_());
  request.data = options_.config.volume_data_dir();
  request.data_paths = PresentDataPaths(options_.config);
  request.cache = CacheOf(start);
  request.python_client = options_.config.python_client_dir();
  request.memory_bytes = start.resources().memory_bytes();
  request.cpus = start.resources().cpus();
  request.most_processes = MostProcesses();
  request.own_network = options_.own_network;
  request.port = options_.own_network ? PortOf(ReadMessage<internal::v1::RunPlan>(dir.run_plan())) : 0;
  request.descriptors = kContainerDescriptors;
  if (LooksLikeCdi())
    for (const std::string& gpu : gpus) request.gpu_devices.push_back(absl::StrCat("nvidia.com/gpu=", gpu));
  else
    request.gpu_devices = FindGpuDevices(gpus).paths;
  if (!start.builds_image()) return request;
  request.image.clear();
  request.rootfs = BuildRootOf(dir);
  request.code = dir.code();
  AddBuildSurroundings(system_, BuildStorageOf(start.template_()), &request);
  for (const std::string& path : InheritedPaths(options_.environment))  // such as certificates
    if (FileExists(path)) request.read_only.emplace(path, path);
  return request;
}

absl::StatusOr<UniqueFd> Launcher::StartForwarder(const std::vector<int>& ports, const UniqueFd& log) const {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return ErrnoError(errno, "make a pair of sockets");
  const UniqueFd outside(ends[0]);
  UniqueFd inside(ends[1]);
  SpawnRequest request;
  request.argv = {options_.job, "forward"};
  for (const int port : ports) request.argv.push_back(absl::StrCat(port));
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  request.descriptors = {{log.get(), 1}, {log.get(), 2}, {outside.get(), kForwarderSocket}};
  RISEML_RETURN_IF_ERROR(SpawnDetached(request).status());
  return inside;
}

absl::StatusOr<pid_t> Launcher::StartContainer(const AttemptDir& dir, const StartAttemptRequest& start,
                                               SpawnRequest request, const UniqueFd& own_log,
                                               const OutputEnds& output) const {
  ContainerRequest container = DescribeContainer(dir, start);
  // The job opens its output by name too, e.g. as /dev/stdout.
  if (container.as_root && fchown(output.write.get(), kFirstContainerUid, kFirstContainerUid) != 0)
    return ErrnoError(errno, absl::StrCat("chown ", dir.output()));
  UniqueFd forwarder;
  if (const std::vector<int> ports = ForwardedPortsOf(start); !ports.empty()) {
    RISEML_ASSIGN_OR_RETURN(forwarder, StartForwarder(ports, own_log));
    request.descriptors.emplace_back(forwarder.get(), kInheritedFiles.forwarder);
    ++container.descriptors;
  }
  request.environment = options_.podman->Environment();
  request.argv = ContainerArguments(container, {"run", "--dir", kSandboxControl, "--inherited"});
  return SpawnDetached(request);
}

}  // namespace riseml::agent
