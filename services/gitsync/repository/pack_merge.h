// Keeps the number of a repository's packs small: every push makes one, and every lookup asks all of them.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::gitsync {

// Packs a repository may have before they are merged.
inline constexpr int kManyPacks = 50;

// Merges small packs (up to 64 MiB) into one if there are more than kManyPacks of them. Nobody else may use the
// repository. The new pack is durable before an old one is removed; a crash leaves some objects twice.
// `temporary_directory` is empty, exists and lies on the same file system.
absl::Status MergePacks(const std::string& repository_path, const std::string& temporary_directory);

}  // namespace riseml::gitsync
