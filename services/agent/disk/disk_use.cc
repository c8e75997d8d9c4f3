#include "services/agent/disk/disk_use.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/process/process.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {
constexpr std::int64_t kMaxMountInfo = 4 << 20;
constexpr std::int64_t kBlockBytes = 512;  // unit of st_blocks, whatever the file system's block size is
}  // namespace

absl::StatusOr<DiskSpace> SpaceAt(const std::string& directory) {
  struct statvfs disk {};
  if (statvfs(directory.c_str(), &disk) != 0) return ErrnoError(errno, absl::StrCat("look at the disk of ", directory));
  return DiskSpace{static_cast<std::int64_t>(disk.f_blocks * disk.f_frsize),
                   static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize)};
}

absl::StatusOr<dev_t> DeviceOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  return info.st_dev;
}

std::string ChangesOfContainer(absl::string_view mountinfo) {
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    // "ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE OPTIONS"
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() < 5 || words[4] != "/" || !absl::StrContains(line, " - overlay ")) continue;
    for (absl::string_view option : absl::StrSplit(words.back(), ','))
      if (absl::ConsumePrefix(&option, "upperdir=")) return std::string(option);
  }
  return "";
}

bool DiskUseCounter::MayCountOneMore() {
  if (++entries_ > kMostEntries) whole_ = false;
  return entries_ <= kMostEntries;
}

void DiskUseCounter::Add(const struct stat& info) {
  if (info.st_dev != device_) return;
  if (!S_ISDIR(info.st_mode) && info.st_nlink != 1 && !counted_.insert(info.st_ino).second) return;
  bytes_ += info.st_blocks * kBlockBytes;
}

void DiskUseCounter::AddTree(const std::string& top) {
  const absl::Status walked = WalkTree(top, [&](const TreeEntry& entry) -> absl::StatusOr<bool> {
    if (!MayCountOneMore()) return absl::CancelledError("too many entries");
    struct stat info {};
    if (lstat(absl::StrCat(top, "/", entry.path).c_str(), &info) == 0) {
      Add(info);
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return ErrnoError(errno, "look at a file");
    }
    return true;
  });
  if (!walked.ok() && !HasReason(walked, Reason::kNotFound)) whole_ = false;
}

void DiskUseCounter::AddContainer(pid_t process) {
  const std::string mounts = ReadFile(absl::StrCat("/proc/", process, "/mountinfo"), kMaxMountInfo).value_or("");
  if (const std::string changes = ChangesOfContainer(mounts); !changes.empty()) AddTree(changes);
}

void DiskUseCounter::AddNameless(pid_t root) {
  for (const pid_t pid : Descendants(root)) AddOpenFilesOf(pid);
}

void DiskUseCounter::AddAttempt(const AttemptDir& dir, const std::vector<std::string>& places) {
  for (const std::string& place : places) AddTree(place);
  const auto launch = ReadMessage<internal::v1::LaunchRecord>(dir.launch());
  if (!launch.ok() || launch->process().pid() <= 0) return;
  AddNameless(launch->process().pid());
  if (launch->isolation() == kIsolationPodman) AddContainer(launch->process().pid());
}

void DiskUseCounter::AddOpenFilesOf(pid_t pid) {
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), error);
       !error && it != std::filesystem::directory_iterator() && MayCountOneMore(); it.increment(error)) {
    struct stat info {};
    if (stat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 0) Add(info);
  }
}

}  // namespace riseml::agent
