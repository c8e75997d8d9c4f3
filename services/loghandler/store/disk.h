// The port through which the log store changes its disk. Tests replace it to make a call fail, block, or be the last
// one before a crash.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::loghandler {

// Thread-safe. Functions with an int return 0 or an errno.
class Disk {
 public:
  virtual ~Disk() = default;
  // Writes all bytes at a position of a file. After an error any part of them may be written.
  virtual int Write(int fd, std::int64_t position, absl::string_view bytes) = 0;
  // Makes the data of a file durable.
  virtual int Sync(int fd) = 0;
  // Makes created entries of a directory durable. NOT_FOUND when there is no such directory.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // Replaces a file atomically and durably.
  virtual absl::Status Replace(const std::string& path, absl::string_view bytes) = 0;
};

// The file system of this machine.
class FileDisk : public Disk {
 public:
  int Write(int fd, std::int64_t position, absl::string_view bytes) override;
  int Sync(int fd) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status Replace(const std::string& path, absl::string_view bytes) override;
};

}  // namespace riseml::loghandler
