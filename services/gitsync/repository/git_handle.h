// Wraps libgit2's handles in self-freeing values, and its errors in statuses. Only services/gitsync uses libgit2.
#pragma once

#include <git2.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/git/object_id.h"

namespace riseml::gitsync {

// Initializes libgit2 while it lives: durable writes, bounded caches, no configuration from the user's home. One per
// process; it outlives every use of libgit2.
class GitLibrary {
 public:
  static absl::StatusOr<std::unique_ptr<GitLibrary>> Start();
  ~GitLibrary();

 private:
  GitLibrary() = default;
};

// The status of a failed libgit2 call on this thread.
absl::Status GitError(int code, absl::string_view doing);

struct GitFree {
  void operator()(git_repository* handle) const { git_repository_free(handle); }
  void operator()(git_odb* handle) const { git_odb_free(handle); }
  void operator()(git_odb_object* handle) const { git_odb_object_free(handle); }
  void operator()(git_commit* handle) const { git_commit_free(handle); }
  void operator()(git_reference* handle) const { git_reference_free(handle); }
  void operator()(git_indexer* handle) const { git_indexer_free(handle); }
};
template <class T>
using GitHandle = std::unique_ptr<T, GitFree>;

git_oid ToGit(const git::ObjectId& id);
git::ObjectId FromGit(const git_oid& id);

}  // namespace riseml::gitsync
