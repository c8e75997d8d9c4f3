// Decides whether a tree may become a revision: it is complete, its names can be checked out, and it keeps the limits.
// Symbolic links may lead anywhere; nothing that reads a revision follows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "services/common/base/mutex.h"
#include "services/common/git/object_id.h"
#include "services/gitsync/frame_reader.h"
#include "services/gitsync/limits.h"
#include "services/gitsync/repository/object_database.h"

namespace riseml::gitsync {

// Totals of a tree. Depends on the tree's content only, not on where it is stored.
struct TreeSummary {
  std::int64_t files = 0;  // at most a little over the limit the check ran with: sums saturate
  std::int64_t empty_directories = 0;
  std::int64_t bytes = 0;
  std::int64_t path_bytes = 0;  // longest path below the tree
  int depth = 1;                // levels of directories, itself included
};

// Summaries of trees that were checked, so that an unchanged directory is not read again. Thread-safe; at most 100,000.
class TreeSummaryCache {
 public:
  std::optional<TreeSummary> Find(const git::ObjectId& tree) const;
  void Add(const git::ObjectId& tree, const TreeSummary& summary);

 private:
  mutable Mutex mu_;
  absl::flat_hash_map<git::ObjectId, TreeSummary> summaries_ ABSL_GUARDED_BY(mu_);
};

// Checks `root` in `objects`, which holds the project's objects and those of the push (`pushed`). Every pushed object
// must be part of the tree, and every object of the tree must exist. This keeps a project's objects closed: a tree that
// exists is complete. INVALID_ARGUMENT, LIMIT_EXCEEDED; messages name the path.
absl::StatusOr<TreeSummary> CheckTree(const git::ObjectId& root, const PushedObjects& pushed,
                                      const ObjectDatabase& objects, const Limits& limits, TreeSummaryCache& cache);

}  // namespace riseml::gitsync
