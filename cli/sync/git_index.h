// Reads git's index, the list of the files that a work tree tracks. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::sync {

// Content of one index file.
struct GitIndex {
  std::vector<std::string> files;       // sorted, each once
  std::vector<std::string> submodules;  // paths of submodules, sorted
  std::string base;                     // hex name of the shared index this one adds to; empty: none
  std::vector<bool> deleted;            // entries of `base`, by position, that do not count any more
  std::vector<std::string> entries;     // every entry in the order of the file; fills what `deleted` refers to
  std::vector<bool> is_submodule;       // of `entries`
};

// Parses index versions 2, 3 and 4 with ids of `id_bytes` bytes (20 for SHA-1, 32 for SHA-256). INVALID_ARGUMENT for
// damaged files, other versions and unknown mandatory extensions.
absl::StatusOr<GitIndex> ParseGitIndex(absl::string_view bytes, std::size_t id_bytes);

// Adds the entries of the shared index `base` that `index` keeps.
void MergeSharedIndex(const GitIndex& base, GitIndex& index);

}  // namespace riseml::sync
