#include "services/agent/launch/build_root.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr char kCachePlace[] = "/tmp/buildah-cache";  // of cache mounts: below TMPDIR, wherever the storage is
constexpr char kLayers[] = "/layers", kCaches[] = "/caches";
// Files of the machine that programs need to load libraries, to check certificates and to find names.
constexpr const char* kBuildFiles[] = {
    "/etc/alternatives", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/ld.so.cache",   "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime",       "/etc/mime.types",           "/etc/nsswitch.conf", "/etc/ssl"};
// Those of buildah's steps, and SYS_ADMIN for mounts.
constexpr const char* kBuildCapabilities[] = {"CHOWN",   "DAC_OVERRIDE",     "FOWNER",    "FSETID",
                                              "KILL",    "NET_BIND_SERVICE", "SETFCAP",   "SETGID",
                                              "SETPCAP", "SETUID",           "SYS_ADMIN", "SYS_CHROOT"};

}  // namespace

absl::Status MakeBuildRoot(const std::string& root, const SystemView& system) {
  RISEML_RETURN_IF_ERROR(RemoveTree(root));
  for (const char* directory :
       {"", "/etc", "/code", "/run", "/tmp", "/usr", "/var/tmp", "/var/lib/containers", "/root"})
    RISEML_RETURN_IF_ERROR(MakeDirectories(root + directory));
  for (const SystemView::Link& link : system.links)
    if (symlink(link.target.c_str(), (root + link.path).c_str()) != 0)
      return ErrnoError(errno, absl::StrCat("make the link ", root, link.path));
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(root + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"));
  return WriteFileQuickly(root + "/etc/group", "root:x:0:\n");
}

std::string BuildStorageBelow(const std::string& owner) { return absl::StrCat(owner, "/", kWorkName, "/containers"); }

std::string LastBuildIn(const std::string& storage) { return storage + "/last-build"; }

absl::Status MakeBuildStorage(const std::string& storage) {
  for (const char* part : {"", kLayers, kCaches}) RISEML_RETURN_IF_ERROR(MakePlainDirectory(storage + part));
  return WriteFileQuickly(LastBuildIn(storage), "");
}

absl::Status ForgetLastBuild(const std::string& storage) {
  const std::string path = LastBuildIn(storage);
  const timespec times[2] = {};
  if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoError(errno, absl::StrCat("set the time of ", path));
  return absl::OkStatus();
}

std::vector<std::string> PartsOfBuildStorage(const std::string& storage) {
  return {storage + kLayers, storage + kCaches};
}

absl::Status WriteBuildahSettings(const std::string& control, const std::string& home, const PodmanMachine& machine,
                                  const std::vector<int>& ports) {
  const std::string settings = absl::StrCat(control, "/", kBuildahSettings), policy = home + "/.config/containers";
  RISEML_RETURN_IF_ERROR(MakeDirectories(settings));
  RISEML_RETURN_IF_ERROR(MakeDirectories(policy));
  std::string registries;
  for (const int port : ports)
    absl::StrAppend(&registries, "[[registry]]\nlocation = \"127.0.0.1:", port, "\"\ninsecure = true\n");
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(settings + "/registries.conf", registries));
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(settings + "/containers.conf", BuildahConf(machine)));
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(settings + "/storage.conf",
                                          absl::StrCat("[storage]\ndriver = \"overlay\"\ngraphroot = \"", kBuildLayers,
                                                       "/storage\"\nrunroot = \"/run/containers/storage\"\n")));
  return WriteFileQuickly(policy + "/policy.json", "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n");
}

void AddBuildSurroundings(const SystemView& system, const std::string& storage, ContainerRequest* request) {
  for (const std::string& path : system.directories)
    if (!IsPathBelow(path, "/etc") && path != system.resolv_conf && path != "/opt") request->read_only[path] = path;
  for (const char* path : kBuildFiles)
    if (FileExists(path)) request->read_only[path] = path;
  for (const std::string& path : system.hidden_files)
    if (IsPathBelow(path, "/usr")) request->read_only[path] = "/dev/null";
  for (const std::string& path : system.hidden_directories)
    if (IsPathBelow(path, "/usr")) request->hidden_directories.push_back(path);
  request->mounts[kBuildLayers] = storage + kLayers;
  request->mounts[kCachePlace] = storage + kCaches;
  request->capabilities.assign(std::begin(kBuildCapabilities), std::end(kBuildCapabilities));
}

}  // namespace riseml::agent
