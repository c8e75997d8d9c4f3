// The directory of all repositories: DIR/FORMAT, DIR/<project uuid>.git and DIR/tmp.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/mutex.h"
#include "services/gitsync/repository/repository.h"

namespace riseml::gitsync {

// A directory that is removed, with all it holds, when this object is destroyed. Lives on one thread.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Thread-safe. One process at a time uses a directory.
class RepositoryStore {
 public:
  // Locks the directory, checks its format, removes the remains of a crash, and merges packs where there are too many.
  // NEWER_FORMAT.
  static absl::StatusOr<std::unique_ptr<RepositoryStore>> Open(const std::string& data_dir);

  // NOT_FOUND when nothing was pushed to the project yet.
  absl::StatusOr<Repository> OpenRepository(const ProjectId& project) const;
  // Makes the repository if it is absent. NOT_FOUND if it was removed since the start: a push that began before its
  // project was deleted does not bring it back.
  absl::StatusOr<Repository> EnsureRepository(const ProjectId& project);

  // Removes the repository of a deleted project. Nobody finds it any more once this has begun, and a crash leaves no
  // part of it. Also succeeds when it is absent.
  absl::Status RemoveRepository(const ProjectId& project);
  // True for a repository that was removed since the start. The newest few thousand are remembered, which is enough for
  // the pushes that were under way.
  bool WasRemoved(const ProjectId& project) const;

  // Makes a directory on the repositories' file system, so that files can be moved into a repository.
  absl::StatusOr<TemporaryDirectory> MakeTemporary() const;

  // Moves the project's references to a registered commit; see Repository::MoveRefs.
  absl::Status MoveRefs(const ProjectId& project, const git::ObjectId& commit);

 private:
  RepositoryStore(std::string data_dir, UniqueFd lock) : data_dir_(std::move(data_dir)), lock_(std::move(lock)) {}
  absl::Status MergeAllPacks() const;
  std::string PathOf(const ProjectId& project) const;
  std::shared_ptr<Mutex> LockOf(const ProjectId& project);

  const std::string data_dir_;
  const UniqueFd lock_;
  mutable Mutex mu_;
  // One lock per project. It serializes moving the references and making or removing the directory. Unused locks are
  // dropped.
  std::map<ProjectId, std::weak_ptr<Mutex>> locks_ ABSL_GUARDED_BY(mu_);
  std::deque<ProjectId> removed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::gitsync
