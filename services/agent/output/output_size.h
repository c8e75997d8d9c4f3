// Measures the disk space that a directory takes. Safe against anything that a hostile job left in it.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

struct AllocatedSize {
  std::int64_t bytes = 0;
  bool at_least = false;  // something was not counted
};

// Most entries that are counted in one directory tree.
inline constexpr std::int64_t kMostMeasuredEntries = 1'000'000;

// Returns the bytes allocated for the directory `name` in `parent` and everything below it; 0 if it is absent or not a
// directory. Holes in files count as 0 bytes, files with several names count once, links are not followed, other file
// systems are left out. Keeps few descriptors open at any depth. A directory whose mode forbids its owner to read it is
// made readable while it is counted. CANCELLED if stopped.
absl::StatusOr<AllocatedSize> MeasureAllocated(UniqueFd parent, const std::string& name, const std::stop_token& stop,
                                               std::int64_t most_entries = kMostMeasuredEntries);

}  // namespace riseml::agent
