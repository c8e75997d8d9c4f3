#include "services/gitsync/repository/repository_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/repository/pack_merge.h"

namespace riseml::gitsync {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kRememberedRemovals = 4096;

absl::StatusOr<UniqueFd> LockDirectory(const std::string& data_dir) {
  const std::string path = absl::StrCat(data_dir, "/LOCK");
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT, 0600));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK)
    return absl::FailedPreconditionError(absl::StrCat("another riseml-gitsync uses ", data_dir, "; stop it first"));
  return ErrnoError(errno, absl::StrCat("lock ", path));
}

absl::Status RemoveLeftovers(const std::string& data_dir) {
  std::error_code error;
  const std::string temporary = absl::StrCat(data_dir, "/tmp");
  const auto removed = std::filesystem::remove_all(temporary, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("remove ", temporary));
  if (removed > 1) LogInfo("leftovers_removed", {{"directory", temporary}, {"files", removed - 1}});
  RISEML_RETURN_IF_ERROR(MakeDirectories(temporary, 0700));
  for (std::filesystem::directory_iterator it(data_dir, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".git") RISEML_RETURN_IF_ERROR(Repository::RemoveLeftovers(it->path().string()));
  return error ? ErrnoError(error.value(), absl::StrCat("list ", data_dir)) : absl::OkStatus();
}

}  // namespace

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error) LogWarning("temporary_directory_stays", {{"path", path_}, {"error", error.message()}});
}

absl::StatusOr<std::unique_ptr<RepositoryStore>> RepositoryStore::Open(const std::string& data_dir) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(data_dir, 0700));
  RISEML_ASSIGN_OR_RETURN(UniqueFd lock, LockDirectory(data_dir));
  RISEML_RETURN_IF_ERROR(CheckFormat(data_dir, "the repository directory", kFormatVersion));
  RISEML_RETURN_IF_ERROR(RemoveLeftovers(data_dir));
  std::unique_ptr<RepositoryStore> store(new RepositoryStore(data_dir, std::move(lock)));
  RISEML_RETURN_IF_ERROR(store->MergeAllPacks());
  return store;
}

absl::Status RepositoryStore::MergeAllPacks() const {
  std::error_code error;
  for (std::filesystem::directory_iterator it(data_dir_, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".git") continue;
    RISEML_ASSIGN_OR_RETURN(const TemporaryDirectory temporary, MakeTemporary());
    // Many packs are only slow: one damaged repository must not keep the others from being served.
    if (const absl::Status status = MergePacks(it->path().string(), temporary.path()); !status.ok())
      LogError("packs_not_merged", {{"repository", it->path().string()}, {"error", status.message()}});
  }
  return error ? ErrnoError(error.value(), absl::StrCat("list ", data_dir_)) : absl::OkStatus();
}

std::string RepositoryStore::PathOf(const ProjectId& project) const {
  return absl::StrCat(data_dir_, "/", project.value, ".git");
}

absl::StatusOr<Repository> RepositoryStore::OpenRepository(const ProjectId& project) const {
  // The id becomes part of a path.
  if (!IsUuid(project.value)) return Error(Reason::kInvalidArgument, "the project's id is not a UUID");
  return Repository::Open(PathOf(project));
}

absl::StatusOr<Repository> RepositoryStore::EnsureRepository(const ProjectId& project) {
  absl::StatusOr<Repository> existing = OpenRepository(project);
  if (!HasReason(existing.status(), Reason::kNotFound)) return existing;
  RISEML_ASSIGN_OR_RETURN(const TemporaryDirectory temporary, MakeTemporary());
  const std::string fresh = absl::StrCat(temporary.path(), "/repository.git");
  RISEML_RETURN_IF_ERROR(Repository::Create(fresh));
  const std::shared_ptr<Mutex> lock = LockOf(project);
  MutexLock guard(*lock);
  if (WasRemoved(project)) return Error(Reason::kNotFound, "the project was deleted");
  // A concurrent second caller finds a repository with content and keeps it.
  if (std::rename(fresh.c_str(), PathOf(project).c_str()) != 0 && errno != EEXIST && errno != ENOTEMPTY)
    return ErrnoError(errno, absl::StrCat("rename to ", PathOf(project)));
  RISEML_RETURN_IF_ERROR(SyncDirectory(data_dir_));
  return OpenRepository(project);
}

absl::Status RepositoryStore::RemoveRepository(const ProjectId& project) {
  if (!IsUuid(project.value)) return Error(Reason::kInvalidArgument, "the project's id is not a UUID");
  // The next start removes the remains there. A rename needs no space on a full disk.
  const std::string doomed = absl::StrCat(data_dir_, "/tmp/", NewUuid());
  {
    const std::shared_ptr<Mutex> lock = LockOf(project);
    MutexLock guard(*lock);
    {
      MutexLock list(mu_);
      removed_.push_back(project);
      if (removed_.size() > kRememberedRemovals) removed_.pop_front();
    }
    if (std::rename(PathOf(project).c_str(), doomed.c_str()) != 0 && errno != ENOENT)
      return ErrnoError(errno, absl::StrCat("rename ", PathOf(project)));
  }
  RISEML_RETURN_IF_ERROR(SyncDirectory(data_dir_));
  return RemoveTree(doomed);
}

bool RepositoryStore::WasRemoved(const ProjectId& project) const {
  MutexLock guard(mu_);
  return std::ranges::find(removed_, project) != removed_.end();
}

absl::StatusOr<TemporaryDirectory> RepositoryStore::MakeTemporary() const {
  std::string path = absl::StrCat(data_dir_, "/tmp/", NewUuid());
  RISEML_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  return TemporaryDirectory(std::move(path));
}

std::shared_ptr<Mutex> RepositoryStore::LockOf(const ProjectId& project) {
  MutexLock guard(mu_);
  std::erase_if(locks_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Mutex>& slot = locks_[project];
  std::shared_ptr<Mutex> lock = slot.lock();
  if (lock == nullptr) slot = lock = std::make_shared<Mutex>();
  return lock;
}

absl::Status RepositoryStore::MoveRefs(const ProjectId& project, const git::ObjectId& commit) {
  const std::shared_ptr<Mutex> lock = LockOf(project);
  MutexLock guard(*lock);
  RISEML_ASSIGN_OR_RETURN(Repository repository, OpenRepository(project));
  return repository.MoveRefs(commit);
}

}  // namespace riseml::gitsync
