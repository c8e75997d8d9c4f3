// One project's bare git repository.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/common/git/object_id.h"
#include "services/gitsync/repository/git_handle.h"
#include "services/gitsync/repository/object_database.h"

namespace riseml::gitsync {

struct CommitInfo {
  git::ObjectId tree;
  std::string parent;  // 40 hex digits; empty for the first
  absl::Time time;
};

// Paths of the finished pack of a push: "<stem>.pack" and "<stem>.idx".
struct PackFiles {
  std::string stem;
};

// A repository opened for one piece of work. Lives on one thread.
class Repository {
 public:
  // NOT_FOUND when there is none at `path`.
  static absl::StatusOr<Repository> Open(const std::string& path);
  // Makes an empty repository, durably.
  static absl::Status Create(const std::string& path);

  const std::string& path() const { return path_; }
  const ObjectDatabase& objects() const { return objects_; }

  // NOT_FOUND when there is no such commit.
  absl::StatusOr<CommitInfo> ReadCommit(const git::ObjectId& commit) const;

  // Moves a pack, already on disk, into the repository; its objects are durable and visible to readers opened from now
  // on.
  absl::Status AddPack(const PackFiles& pack);

  // Makes refs/revisions/<commit>, and moves refs/heads/main forward to the commit; leaves main where it is if it is
  // already ahead. The caller holds the project's lock. Idempotent.
  absl::Status MoveRefs(const git::ObjectId& commit);

  // Removes what an interrupted push may have left behind. Nobody else may use the repository.
  static absl::Status RemoveLeftovers(const std::string& path);

 private:
  Repository(std::string path, GitHandle<git_repository> repository, ObjectDatabase objects)
      : path_(std::move(path)), repository_(std::move(repository)), objects_(std::move(objects)) {}

  std::string path_;
  GitHandle<git_repository> repository_;
  ObjectDatabase objects_;
};

// The bytes of a commit object. `parent` may be empty.
std::string PrintCommit(const git::ObjectId& tree, absl::string_view parent, absl::string_view user, absl::Time time);

}  // namespace riseml::gitsync
