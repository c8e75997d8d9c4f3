// Reads trees of a repository.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/git/tree.h"
#include "services/gitsync/repository/object_database.h"

namespace riseml::gitsync {

// Returns the entries of a tree. NOT_FOUND; INVALID_ARGUMENT for a tree that a checkout must not create.
absl::StatusOr<std::vector<git::TreeEntry>> ReadTree(const ObjectDatabase& objects, const git::ObjectId& tree);

// Path of an entry of a directory; "" is the root.
std::string PathBelow(const std::string& directory, const std::string& name);

// Finds the tree of a directory; passes its path, and before it those of its parents, to `on_way`. NOT_FOUND.
absl::StatusOr<git::ObjectId> FindDirectory(const ObjectDatabase& objects, git::ObjectId tree,
                                            const std::string& directory,
                                            const std::function<absl::Status(const std::string& path)>& on_way);

}  // namespace riseml::gitsync
