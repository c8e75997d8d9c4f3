#include "services/supervisor/install/surroundings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/python_versions.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {
namespace {

constexpr int kOldestMinor = 6;
constexpr int kNewestMinor = 20;

std::string EnvironmentValue(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool HoldsInterpreters(const std::string& directory) {
  for (int minor = kOldestMinor; minor <= kNewestMinor; ++minor)
    for (const std::string& path : FindPython(absl::StrCat("3.", minor), {directory}))
      if (absl::StartsWith(path, directory + "/")) return true;
  return false;
}

}  // namespace

std::vector<std::string> InterpreterDirs() {
  std::vector<std::string> candidates = {EnvironmentValue("UV_PYTHON_INSTALL_DIR")};
  if (const std::string pyenv = EnvironmentValue("PYENV_ROOT"); !pyenv.empty())
    candidates.push_back(pyenv + "/versions");
  if (const std::string home = EnvironmentValue("HOME"); !home.empty()) {
    candidates.push_back(home + "/.pyenv/versions");
    candidates.push_back(home + "/.local/share/uv/python");
  }
  const std::string path = EnvironmentValue("PATH");
  for (const absl::string_view entry : absl::StrSplit(path, ':', absl::SkipEmpty())) candidates.emplace_back(entry);
  std::vector<std::string> found;
  for (const std::string& directory : candidates) {
    const bool usual = absl::StartsWith(directory, "/usr/") || directory == "/bin" || directory == "/sbin";
    if (usual || !absl::StartsWith(directory, "/") || std::ranges::count(found, directory) > 0) continue;
    if (HoldsInterpreters(directory)) found.push_back(directory);
  }
  return found;
}

// True when `path` is `directory` or lies below it, links followed.
bool LiesWithin(const std::string& path, const std::string& directory) {
  std::error_code error;
  const std::filesystem::path inner = std::filesystem::weakly_canonical(path, error);
  const std::filesystem::path outer = std::filesystem::weakly_canonical(directory, error);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// Returns the first directory on the way to `path` that this process may not pass through.
std::string FirstClosed(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    if (access(path.substr(0, end).c_str(), X_OK) != 0) return path.substr(0, end);
  return path;
}

// True if jobs that see `path` would see files that only the services may see.
bool ShowsInstallation(const std::string& path, const Layout& layout) {
  const std::string data = layout.In("data");
  for (const std::string& installation : {layout.dir, layout.home})
    if (LiesWithin(installation, path) || (LiesWithin(path, installation) && !LiesWithin(path, data))) return true;
  return LiesWithin(data, path);
}

absl::Status TakeDataPaths(const std::vector<std::string>& given, const Layout& layout,
                           config::v1::SupervisorState* state) {
  const std::string data_dir = layout.In("data");
  for (const std::string& text : given) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    const auto& [name, path] = parts;
    const auto refuse = [&text](absl::string_view why) {
      return Error(Reason::kInvalidArgument, absl::StrCat("--data ", text, ": ", why));
    };
    const bool plain = !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
    if (!plain || text.find('=') == std::string::npos)
      return refuse("write NAME=PATH, e.g. --data imagenet=/srv/imagenet");
    if (path.empty()) {
      state->mutable_data_paths()->erase(name);
      continue;
    }
    if (path[0] != '/') return refuse("the path must be absolute");
    if (ShowsInstallation(path, layout))
      return refuse(absl::StrCat("jobs would read the installation in ", layout.dir,
                                 ", its keys and everybody's outputs among it; name a directory beside it"));
    struct stat info {};
    const bool exists = stat(path.c_str(), &info) == 0;
    if (!exists && errno == EACCES)
      return refuse(absl::StrCat("the user that RiseML runs as cannot enter ", FirstClosed(path),
                                 "; let others pass through it, with chmod o+x, or keep the data elsewhere"));
    if (!exists || !S_ISDIR(info.st_mode)) return refuse("there is no such directory");
    if (access(path.c_str(), R_OK | X_OK) != 0)
      return refuse("the user that RiseML runs as cannot read it; give others the right to, with chmod o+rx");
    (*state->mutable_data_paths())[name] = path;
  }
  for (const auto& [name, path] : state->data_paths()) {
    const std::string point = absl::StrCat(data_dir, "/", name);
    struct stat info {};
    if (lstat(point.c_str(), &info) == 0 && S_ISLNK(info.st_mode) && unlink(point.c_str()) != 0)
      return ErrnoError(errno, absl::StrCat("remove the link ", point));
    RISEML_RETURN_IF_ERROR(MakeDirectories(point));
  }
  return absl::OkStatus();
}

std::vector<std::string> NotesOnIsolation() {
  constexpr char kTun[] = "/dev/net/tun";
  constexpr char kAgain[] = " Then run `riseml down` and `riseml up`.";
  if (access("/usr/bin/bwrap", X_OK) != 0)
    return {
        absl::StrCat("Jobs run without a sandbox and can read the files of other jobs: install the package "
                     "bubblewrap.",
                     kAgain)};
  if (access("/usr/bin/slirp4netns", X_OK) != 0)
    return {
        absl::StrCat("Jobs share the network of this machine and reach all its ports: install the package "
                     "slirp4netns.",
                     kAgain)};
  if (const absl::StatusOr<UniqueFd> tun = OpenFile(kTun, O_RDWR); !tun.ok())
    return {absl::StrCat("Jobs share the network of this machine and reach all its ports (", tun.status().message(),
                         "): as root, run ", FileExists(kTun) ? "chmod 666 /dev/net/tun." : "modprobe tun.", kAgain)};
  return {};
}

}  // namespace riseml::supervisor
