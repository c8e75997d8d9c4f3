// Reads files that somebody may be writing to, and notices.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/sync/walk.h"

namespace riseml::sync {

// Takes one reading of a file from its beginning. Begin may come again: then the reading starts over.
class FileConsumer {
 public:
  virtual ~FileConsumer() = default;
  virtual absl::Status Begin(std::int64_t bytes) = 0;
  virtual absl::Status Append(absl::string_view piece) = 0;  // at most 256 KiB
};

// Reads a regular file once. FILE_CHANGED, naming the file, when it was not the same before and after, or is gone.
absl::StatusOr<FileStamp> ReadOnce(const std::string& path, FileConsumer& consumer);

using Sleep = std::function<void(absl::Duration)>;
void SystemSleep(absl::Duration duration);

// Tries up to four times, 50 ms apart.
absl::StatusOr<FileStamp> ReadStable(const std::string& path, FileConsumer& consumer, const Sleep& sleep = SystemSleep);

}  // namespace riseml::sync
