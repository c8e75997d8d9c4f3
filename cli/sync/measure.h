// Counts the content of a directory that is not part of a revision.
#pragma once

#include <cstdint>
#include <string>

namespace riseml::sync {

struct Amount {
  std::int64_t files = 0;
  std::int64_t bytes = 0;
  bool complete = true;  // false: there is more than was counted
  bool empty = false;    // the directory itself has no entries
};

// Counts the entries below `name` in the directory `parent`, following no links. `budget` is the number of entries that
// may still be looked at; each one looked at reduces it. Unreadable entries do not count.
Amount MeasureDirectory(int parent, const std::string& name, std::int64_t& budget);

}  // namespace riseml::sync
