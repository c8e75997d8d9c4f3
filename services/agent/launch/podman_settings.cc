#include "services/agent/launch/podman_settings.h"

#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/agent/launch/sandbox.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr const char* kRuncPlaces[] = {"/usr/bin/runc", "/usr/sbin/runc", "/usr/local/sbin/runc",
                                       "/usr/local/bin/runc"};

constexpr std::size_t kMaxRunDirectory = 32;  // so that names of 74 bytes in a directory below fit into an address
// Those of steps; without AUDIT_WRITE and MKNOD, which buildah would give them, and which a user namespace does not
// have.
constexpr char kStepCapabilities[] =
    R"("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", )"
    R"("SYS_CHROOT")";

std::int64_t LimitOf(rlim_t limit) { return limit == RLIM_INFINITY ? -1 : static_cast<std::int64_t>(limit); }

std::string UlimitsOf(const PodmanMachine& machine) {
  return absl::StrCat("default_ulimits = [\"nofile=", machine.open_files, ":", machine.most_open_files,
                      "\", \"nproc=", machine.processes, ":", machine.processes, "\"]\n");
}

bool IsHostCharacter(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == ':' || c == '_'; }

}  // namespace

PodmanMachine LookAtMachineForPodman() {
  PodmanMachine machine;
  machine.root = geteuid() == 0;
  struct statfs cgroups {};
  machine.unified_cgroups = statfs("/sys/fs/cgroup", &cgroups) == 0 && cgroups.f_type == CGROUP2_SUPER_MAGIC;
  machine.systemd = FileExists("/run/systemd/system");
  machine.has_runc = std::ranges::any_of(kRuncPlaces, [](const char* path) { return FileExists(path); });
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    machine.open_files = LimitOf(limit.rlim_cur);
    machine.most_open_files = LimitOf(limit.rlim_max);
  }
  machine.processes = MostProcesses();
  if (getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
    machine.processes = std::min(machine.processes, LimitOf(limit.rlim_max));
  return machine;
}

std::string RunDirectoryOf(const std::string& storage_dir, bool root) {
  std::string path = storage_dir + "/run";
  if (path.size() <= kMaxRunDirectory) return path;
  return absl::StrFormat("%s/riseml-%d-%08x", root ? "/run" : "/tmp", geteuid(), Crc32c(storage_dir));
}

std::string ContainersConf(const PodmanMachine& machine, absl::string_view temporary) {
  const std::string runtime = !machine.unified_cgroups && machine.has_runc ? "runtime = \"runc\"\n" : "";
  return absl::StrCat("[containers]\n", UlimitsOf(machine), "[engine]\n", runtime, "cgroup_manager = \"",
                      machine.systemd ? "systemd" : "cgroupfs",
                      "\"\nevents_logger = \"file\"\nlock_type = \"file\"\ntmp_dir = \"", temporary, "\"\n");
}

std::string BuildahConf(const PodmanMachine& machine) {
  return absl::StrCat("[containers]\n", UlimitsOf(machine), "default_capabilities = [", kStepCapabilities, "]\n",
                      "[engine]\nevents_logger = \"none\"\n");
}

absl::StatusOr<std::string> AuthFile(absl::string_view reference, absl::string_view username,
                                     absl::string_view password) {
  if (username.empty()) return std::string("{}\n");
  const absl::string_view host = reference.substr(0, reference.find('/'));
  if (host.size() == reference.size() || host.empty() || !std::ranges::all_of(host, IsHostCharacter))
    return Error(Reason::kInvalidArgument, absl::StrCat("the image ", reference, " does not name its registry"));
  return absl::StrCat(R"({"auths": {")", host, R"(": {"auth": ")",
                      absl::Base64Escape(absl::StrCat(username, ":", password)), "\"}}}\n");
}

}  // namespace riseml::agent
