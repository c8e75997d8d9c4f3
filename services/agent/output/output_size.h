// Measures the disk space that a directory takes, whatever a hostile job has left in it.
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

// Entries that are counted of one directory and all below it.
inline constexpr std::int64_t kMostMeasuredEntries = 1'000'000;

// Bytes allocated for the directory `name` in `parent` and everything below it: holes of files take none, files with
// several names count once, links are not followed, other file systems are left out; what is no directory, or absent,
// takes nothing. Few descriptors are open at any depth. Directories that their owner has closed are opened while they
// are counted. CANCELLED when stopped.
absl::StatusOr<AllocatedSize> MeasureAllocated(UniqueFd parent, const std::string& name, const std::stop_token& stop,
                                               std::int64_t most_entries = kMostMeasuredEntries);

}  // namespace riseml::agent
