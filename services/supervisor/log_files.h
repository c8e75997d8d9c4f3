// Log files of the stack: bounded in size, readable at their end.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace riseml::supervisor {

inline constexpr std::int64_t kMaxLogBytes = 16 << 20;
inline constexpr int kOldLogs = 3;

// When a log has grown past `max_bytes`, copies it to FILE.1 (older ones move on to FILE.3, the oldest goes) and
// empties it. The writer keeps its descriptor, which must append. Lines written between the copy's end and the emptying
// are lost: a service's log is no record.
absl::Status RotateLog(const std::string& path, std::int64_t max_bytes = kMaxLogBytes);

// The last lines, at most `lines` of them and 8 KiB; empty when there is no such file.
std::string LogTail(const std::string& path, int lines);

}  // namespace riseml::supervisor
