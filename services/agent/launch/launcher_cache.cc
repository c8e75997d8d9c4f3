// Launcher: the directories of users, in which caches lie.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/agent/environment/cache.h"
#include "services/agent/launch/launcher.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

using internal::v1::StartAttemptRequest;

constexpr std::int64_t kDefaultCacheLimit = std::int64_t{20} << 30;
// Caches of a user, below the work directory: of jobs that are processes, and of those in containers.
constexpr char kCache[] = "/cache";
constexpr char kContainerCache[] = "/container-cache";
constexpr absl::Duration kCachePause = absl::Minutes(10);

// Makes a directory whose name jobs can change: removes a file or link that a job has put there instead.
absl::Status MakeAnew(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode) && unlink(path.c_str()) != 0 && errno != ENOENT)
    return ErrnoError(errno, absl::StrCat("remove ", path));
  return MakePlainDirectory(path);
}

}  // namespace

std::string Launcher::UserDirectory(const internal::v1::JobTemplate& job) const {
  if (options_.config.environments_dir().empty() || !IsUuid(job.owner_uid())) return "";
  return absl::StrCat(options_.config.environments_dir(), "/", job.owner_uid());
}

std::string Launcher::WorkOf(const internal::v1::JobTemplate& job) const {
  const std::string user = UserDirectory(job);
  return user.empty() ? user : absl::StrCat(user, "/", kWorkName);
}

// Containers have a cache of their own, since their files belong to another account.
std::string Launcher::CacheOf(const StartAttemptRequest& start) const {
  const std::string work = WorkOf(start.template_());
  if (work.empty() || start.builds_image()) return "";
  return absl::StrCat(work, IsInContainer(start) ? kContainerCache : kCache);
}

absl::Status Launcher::PrepareCache(const AttemptDir& dir, const StartAttemptRequest& start) const {
  const std::string cache = CacheOf(start);
  if (cache.empty()) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(MakeDirectories(UserDirectory(start.template_())));
  RISEML_RETURN_IF_ERROR(MakePlainDirectory(WorkOf(start.template_())));
  RISEML_RETURN_IF_ERROR(MakeAnew(cache));
  // For programs that write to ~/.cache and ignore XDG_CACHE_HOME.
  const std::string link = dir.temporary() + "/home/.cache";
  if (symlink(cache.c_str(), link.c_str()) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("make the link ", link));
  return absl::OkStatus();
}

void Launcher::LookAtCache(const internal::v1::JobTemplate& job, absl::Time now) const {
  const std::string work = WorkOf(job);
  if (work.empty() || !FileExists(work)) return;
  {
    const MutexLock lock(shares_);
    absl::Time& looked = cache_looked_.try_emplace(work, absl::InfinitePast()).first->second;
    if (now < looked + kCachePause) return;
    looked = now;
  }
  const std::int64_t limit =
      options_.config.cache_bytes_limit() > 0 ? options_.config.cache_bytes_limit() : kDefaultCacheLimit;
  for (const char* name : {kCache, kContainerCache}) {
    const std::string cache = work + name;
    if (!FileExists(cache)) continue;
    if (const absl::Status trimmed = TrimCache(cache, limit, absl::ToUnixSeconds(now)); !trimmed.ok())
      LogWarning("cache_not_trimmed", {{"path", cache}, {"error", std::string(trimmed.message())}});
  }
}

}  // namespace riseml::agent
