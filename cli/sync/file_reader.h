// Reads a file and detects whether it changed during the read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/sync/walk.h"
#include "services/common/base/files/file.h"
#include "services/common/git/object_id.h"

namespace riseml::sync {

// Receives the content of a file from its beginning. A further Begin means that the read starts over.
class FileConsumer {
 public:
  virtual ~FileConsumer() = default;
  virtual absl::Status Begin(std::int64_t bytes) = 0;
  virtual absl::Status Append(absl::string_view piece) = 0;  // at most 256 KiB
};

// Computes the id of the file it is given.
class IdOf final : public FileConsumer {
 public:
  absl::Status Begin(std::int64_t bytes) override;
  absl::Status Append(absl::string_view piece) override;
  git::ObjectId Finish() { return hasher_.Finish(); }
  bool is_lfs_pointer() const;

 private:
  git::ObjectHasher hasher_;
  std::int64_t bytes_ = 0;
  std::string beginning_;
};

// Opens a regular file. NOT_FOUND when it is gone or no longer a regular file; PERMISSION_DENIED with advice.
absl::StatusOr<UniqueFd> OpenForReading(const std::string& path);

// Reads a regular file once. FILE_CHANGED, naming the file, when it changed during the read; NOT_FOUND when it is gone.
absl::StatusOr<FileStamp> ReadOnce(const std::string& path, FileConsumer& consumer);

using Sleep = std::function<void(absl::Duration)>;
void SystemSleep(absl::Duration duration);

// Retries every 50 ms while the file changes and `retries` is not 0; each retry reduces `retries`.
absl::StatusOr<FileStamp> ReadStable(const std::string& path, FileConsumer& consumer, int& retries,
                                     const Sleep& sleep = SystemSleep);

}  // namespace riseml::sync
