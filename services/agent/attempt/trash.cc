#include "services/agent/attempt/trash.h"

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
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes kRetry(1);
constexpr std::size_t kUuidLength = 36;

}  // namespace

Trash::Trash(std::string directory)
    : directory_(std::move(directory)),
      removals_({.threads = 2, .most_per_owner = 1, .background = true}),
      thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

Trash::~Trash() {
  stop_.request_stop();
  thread_.request_stop();
  thread_.join();
  removals_.Stop();
}

// ".trash-UUID", plus "-OWNER" if there is an owner, so that the owner is known after a restart.
std::string Trash::NameFor(const std::string& owner) {
  return absl::StrCat(kPrefix, NewUuid(), IsUuid(owner) ? "-" : "", IsUuid(owner) ? owner : "");
}

std::string Trash::OwnerIn(absl::string_view name) {
  const std::size_t at = sizeof kPrefix - 1 + kUuidLength + 1;
  const std::string owner(name.size() > at ? name.substr(at) : "");
  return IsUuid(owner) ? owner : "";
}

absl::Status Trash::Take(const std::string& path, const std::string& owner) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
    return ErrnoError(errno, absl::StrCat("look at ", path));
  }
  // Moving a directory to another parent requires write permission on it.
  if (S_ISDIR(status.st_mode)) {
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (chmod(absl::StrCat("/proc/self/fd/", fd.get()).c_str(), S_IRWXU) != 0)
      return ErrnoError(errno, absl::StrCat("chmod ", path));
  }
  if (std::rename(path.c_str(), absl::StrCat(directory_, "/", NameFor(owner)).c_str()) != 0)
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
    BeginAll();
  }
}

void Trash::BeginAll() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (!absl::StartsWith(name, kPrefix)) continue;
    {
      MutexLock lock(mu_);
      if (!removing_.insert(name).second) continue;
    }
    removals_.Run(OwnerIn(name), [this, name] { Remove(name); });
  }
  if (error) LogWarning("leftovers_not_listed", {{"directory", directory_}, {"error", error.message()}});
}

void Trash::Remove(const std::string& name) {
  const std::string path = absl::StrCat(directory_, "/", name);
  const absl::Status removed = RemoveTree(path, stop_.get_token());
  if (!removed.ok() && !absl::IsCancelled(removed))
    LogWarning("leftover_not_removed", {{"path", path}, {"error", removed.message()}});
  MutexLock lock(mu_);
  removing_.erase(name);
}

}  // namespace riseml::agent
