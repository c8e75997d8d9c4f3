// Log files of the stack: limits their size and reads their last lines.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::supervisor {

inline constexpr std::int64_t kMaxLogBytes = 16 << 20;
inline constexpr int kOldLogs = 3;

// Copies a log that has grown past `max_bytes` to FILE.1 and empties it (older ones move on to FILE.3, the oldest is
// removed). The writer keeps its descriptor, which must append. Lines written between the end of the copy and the
// emptying are lost, which is acceptable for logs of services.
absl::Status RotateLog(const std::string& path, std::int64_t max_bytes = kMaxLogBytes);

// Returns "; the end of SHOWN:" and the last `lines` lines of the log; empty if the log is empty. `shown` is the path
// as users know it.
std::string EndOfLog(const std::string& path, absl::string_view shown, int lines);
// The last lines, at most `lines` of them and 8 KiB; empty if there is no such file.
std::string LogTail(const std::string& path, int lines);

}  // namespace riseml::supervisor
