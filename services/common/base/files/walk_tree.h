// Walks through directory trees that others may change meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml {

struct TreeEntry {
  std::string path;           // below the top, without a slash in front
  bool is_directory = false;  // itself; false for a link to one
};

// Looks at an entry. Returns true to go on into a directory. An error ends the walk.
using LookAtEntry = std::function<absl::StatusOr<bool>(const TreeEntry&)>;

enum class Unreadable { kIsAnError, kIsSkipped };

// Calls `look` for each entry below `top`, a directory before what is in it. Links are not followed. An entry that
// vanishes during the walk is left out, and so is what was in it. Errors: NOT_FOUND when `top` does not exist; those of
// `look`; PERMISSION_DENIED for a directory that cannot be read, LIMIT_EXCEEDED for directories nested deeper than 200,
// unless these are skipped.
absl::Status WalkTree(const std::string& top, const LookAtEntry& look, Unreadable unreadable = Unreadable::kIsAnError);

// Returns the bytes that everything below a directory takes on the disk. A file with several names counts once; what
// cannot be read does not count.
std::int64_t DiskBytesBelow(const std::string& top);

}  // namespace riseml
