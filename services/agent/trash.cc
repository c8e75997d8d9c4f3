#include "services/agent/trash.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes kRetry(1);

}  // namespace

Trash::Trash(std::string directory)
    : directory_(std::move(directory)), thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

Trash::~Trash() {
  thread_.request_stop();
  thread_.join();
}

absl::Status Trash::Take(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
    return ErrnoError(errno, absl::StrCat("look at ", path));
  }
  // To give a directory another parent takes the right to write to it.
  if (S_ISDIR(status.st_mode)) {
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (chmod(absl::StrCat("/proc/self/fd/", fd.get()).c_str(), S_IRWXU) != 0)
      return ErrnoError(errno, absl::StrCat("chmod ", path));
  }
  if (std::rename(path.c_str(), absl::StrCat(directory_, "/", kPrefix, NewUuid()).c_str()) != 0)
    return ErrnoError(errno, absl::StrCat("put away ", path));
  {
    MutexLock lock(mu_);
    news_ = true;
  }
  filled_.notify_one();
  return absl::OkStatus();
}

void Trash::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mu_);
      filled_.wait_for(mu_, stop, kRetry, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return news_; });
      news_ = false;
    }
    RemoveAll(stop);
  }
}

void Trash::RemoveAll(std::stop_token stop) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    if (stop.stop_requested()) return;
    if (!absl::StartsWith(entry.path().filename().string(), kPrefix)) continue;
    const absl::Status removed = RemoveTree(entry.path().string(), stop);
    if (!removed.ok() && !absl::IsCancelled(removed))
      LogWarning("leftover_not_removed", {{"path", entry.path().string()}, {"error", removed.message()}});
  }
  if (error) LogWarning("leftovers_not_listed", {{"directory", directory_}, {"error", error.message()}});
}

}  // namespace riseml::agent
