#include "services/agent/launch/sandbox.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/launch/passwords.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kJobUid[] = "1000";
constexpr char kRootBytes[] = "1048576";  // it holds nothing but mount points and links
constexpr std::int64_t kDefaultSharedMemory = std::int64_t{1} << 30;
constexpr char kProcessors[] = "/sys/devices/system";  // lscpu, numpy and others read it
constexpr const char* kTopLevel[] = {"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"};
constexpr const char* kDirectories[] = {"/usr", "/etc", "/opt"};
// Files that only root can read. They must be hidden, since a job of a node that runs as root is a process of root for
// the machine.
constexpr const char* kSecretFiles[] = {"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers"};
constexpr const char* kSecretDirectories[] = {"/etc/ssl/private", "/etc/sudoers.d", "/etc/ssh"};

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

void ShowTopLevel(SystemView& view) {
  for (const char* path : kTopLevel) {
    std::error_code error;
    if (fs::is_symlink(path, error))
      view.links.push_back({path, fs::read_symlink(path, error).string()});
    else if (Exists(path))
      view.directories.emplace_back(path);
  }
}

void ShowPath(SystemView& view, const std::string& path) {
  std::error_code error;
  // A link, such as /etc/resolv.conf → /run/systemd/resolve/stub-resolv.conf, needs its target.
  for (const std::string& wanted : {path, fs::canonical(path, error).string()}) {
    const auto shows = [&wanted](const std::string& directory) { return IsPathBelow(wanted, directory); };
    if (!wanted.empty() && wanted != "/" && Exists(wanted) && std::ranges::none_of(view.directories, shows))
      view.directories.push_back(wanted);
  }
}

}  // namespace

std::int64_t MostProcesses() {
  std::int64_t numbers = 0;
  if (!absl::SimpleAtoi(ReadFile("/proc/sys/kernel/pid_max", 64).value_or(""), &numbers)) numbers = 32'768;
  return std::clamp<std::int64_t>(numbers / 16, 1024, 32'768);
}

bool IsPathBelow(absl::string_view path, absl::string_view directory) {
  return path == directory ||
         (absl::StartsWith(path, directory) && path.size() > directory.size() && path[directory.size()] == '/');
}

SystemView LookAtSystem(const std::vector<std::string>& extra, const std::string& installation) {
  SystemView view;
  ShowTopLevel(view);
  for (const char* path : kDirectories)
    if (Exists(path)) view.directories.emplace_back(path);
  view.processors = Exists(kProcessors);
  ShowPath(view, "/etc/resolv.conf");
  std::error_code no_resolv_conf;
  view.resolv_conf = fs::canonical("/etc/resolv.conf", no_resolv_conf).string();
  for (const std::string& path : extra)
    if (Exists(path)) ShowPath(view, path);
  for (const char* path : kSecretFiles)
    if (Exists(path)) view.hidden_files.emplace_back(path);
  for (std::string& path : MachineFilesWithPasswords())
    if (std::ranges::any_of(view.directories,
                            [&path](const std::string& directory) { return IsPathBelow(path, directory); }))
      view.hidden_files.push_back(std::move(path));
  for (const char* path : kSecretDirectories)
    if (Exists(path)) view.hidden_directories.emplace_back(path);
  const auto shows = [&installation](const std::string& directory) { return IsPathBelow(installation, directory); };
  if (!installation.empty() && std::ranges::any_of(view.directories, shows))
    view.hidden_directories.push_back(installation);
  return view;
}

std::vector<std::string> SandboxArguments(const SandboxRequest& request, const SystemView& system,
                                          const std::vector<std::string>& command) {
  std::vector<std::string> argv = {request.bubblewrap, "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                                   "--as-pid-1",       "--cap-drop",    "ALL",           "--unshare-user",
                                   "--disable-userns"};
  const auto add = [&argv](std::initializer_list<std::string> words) { argv.insert(argv.end(), words); };
  if (request.as_root) add({"--uid", kJobUid, "--gid", kJobUid});
  add({"--size", kRootBytes, "--tmpfs", "/"});
  for (const SystemView::Link& link : system.links) add({"--symlink", link.target, link.path});
  for (const std::string& path : system.directories) add({"--ro-bind", path, path});
  if (!request.resolv_conf.empty() && !system.resolv_conf.empty())
    add({"--ro-bind", request.resolv_conf, system.resolv_conf});
  for (const std::string& path : system.hidden_files) add({"--ro-bind", "/dev/null", path});
  for (const std::string& path : system.hidden_directories) add({"--tmpfs", path});
  const std::int64_t shared_memory = request.memory_bytes > 0 ? request.memory_bytes : kDefaultSharedMemory;
  add({"--proc", "/proc", "--dev", "/dev"});
  add({"--perms", "1777", "--size", absl::StrCat(shared_memory), "--tmpfs", "/dev/shm"});
  if (system.processors) add({"--ro-bind", kProcessors, kProcessors});
  for (const std::string& device : request.gpu_devices) add({"--dev-bind", device, device});
  add({"--bind", request.temporary, kSandboxTemporary});
  add({"--bind", request.control, kSandboxControl});
  // Mounted at their own paths, and after /tmp and /run, since they may lie below these.
  if (!request.data.empty()) add({"--ro-bind", request.data, request.data, "--ro-bind", request.data, kSandboxData});
  for (const auto& [name, path] : request.data_paths)
    for (const std::string& data : {request.data, std::string(kSandboxData)})
      add({"--ro-bind", path, absl::StrCat(data, "/", name)});
  if (!request.output.empty())
    add({"--bind", request.output, request.output, "--bind", request.output, kSandboxOutput});
  if (!request.shared.empty())
    add({"--bind", request.shared, request.shared, "--bind", request.shared, kSandboxShared});
  for (const auto& [name, path] : request.inputs)
    add({"--ro-bind", path, path, "--ro-bind", path, absl::StrCat(kSandboxInputs, "/", name)});
  for (const std::string& path : request.shown) add({"--ro-bind", path, path});
  if (!request.python_client.empty()) add({"--ro-bind", request.python_client, request.python_client});
  if (!request.work.empty()) add({"--bind", request.work, request.work});
  if (!request.environment.empty() && (request.work.empty() || !IsPathBelow(request.environment, request.work)))
    add({request.environment_writable ? "--bind" : "--ro-bind", request.environment, request.environment});
  add({"--bind", request.code, kSandboxCode});
  add({"--ro-bind", request.job, kSandboxJob});
  // Must be last, since directories shown may lie below hidden ones.
  for (const std::string& path : system.hidden_directories) add({"--remount-ro", path});
  add({"--remount-ro", "/dev", "--remount-ro", "/"});
  add({"--chdir", kSandboxCode, "--"});
  argv.insert(argv.end(), command.begin(), command.end());
  return argv;
}

absl::Status ProbeSandbox(const SystemView& system, bool as_root) {
  SandboxRequest request{.as_root = as_root};
  if (!FileExists(request.bubblewrap))
    return Error(Reason::kNotFound, "bubblewrap is not installed (apt-get install bubblewrap)");
  char scratch[] = "/tmp/riseml-probe-XXXXXX";
  if (mkdtemp(scratch) == nullptr) return ErrnoError(errno, "make a directory below /tmp");
  request.job = "/proc/self/exe";
  request.control = request.code = request.temporary = scratch;
  std::vector<std::string> words = SandboxArguments(request, system, {"/bin/true"});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {0, 1, 2}) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  pid_t pid = 0;
  char* const no_environment[] = {nullptr};
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), no_environment);
  posix_spawn_file_actions_destroy(&actions);
  int status = -1;
  if (error == 0)
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  std::error_code ignored;  // an empty directory below /tmp at worst
  fs::remove_all(scratch, ignored);
  if (error != 0) return ErrnoError(error, "start bubblewrap");
  if (status != 0)
    return Error(Reason::kUnsupported,
                 "bubblewrap cannot make a sandbox here; are unprivileged user namespaces allowed?");
  return absl::OkStatus();
}

}  // namespace riseml::agent
