// Copies of files that keep changing, so that exactly the bytes that were read are sent.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/sync/file_reader.h"
#include "services/common/base/files/file.h"
#include "services/common/git/object_id.h"

namespace riseml::sync {

// Position of a copy in the spool.
struct SpooledFile {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
};

// One temporary file without a name that holds the copies one after the other. Lives on one thread.
class Spool {
 public:
  struct Copied {
    SpooledFile place;
    FileStamp stamp;  // of the file when its reading began, with the size that was read
    git::ObjectId id;
    bool is_lfs_pointer = false;
  };

  // Copies a file up to its size when it was opened, or less when it was truncated meanwhile, and computes the id of
  // the bytes read. NOT_FOUND when the file is gone or no longer a regular file.
  absl::StatusOr<Copied> Copy(const std::string& path);

  // Gives a copy to `consumer`, piece by piece.
  absl::Status Read(const SpooledFile& file, FileConsumer& consumer) const;

 private:
  absl::Status Open();

  UniqueFd fd_;
  std::int64_t end_ = 0;
};

}  // namespace riseml::sync
