// Files and descriptors: RAII, whole-file reads with a bound, atomic writes.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml {

// Owns a file descriptor and closes it.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }
  void Reset(int fd = -1);
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Opens with O_CLOEXEC; the error names the path.
absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, int mode = 0644);

// Whole content. NOT_FOUND when absent; LIMIT_EXCEEDED when larger than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, std::int64_t max_bytes);

// The same for a file that somebody else may have put there: a link, a pipe or a device in its place is NOT_FOUND.
absl::StatusOr<std::string> ReadPlainFile(const std::string& path, std::int64_t max_bytes);

// Replaces `path` atomically and durably: temporary file, fsync, rename, fsync of the directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode = 0644);

// Writes a file in place without waiting for the disk; for files that are made anew after a crash.
absl::Status WriteFileQuickly(const std::string& path, absl::string_view content, int mode = 0644);

// Writes all bytes at the descriptor's position (or end, with O_APPEND), across short writes and EINTR.
absl::Status WriteAll(int fd, absl::string_view bytes);

// Makes created, renamed and removed entries of a directory durable.
absl::Status SyncDirectory(const std::string& path);

// mkdir -p.
absl::Status MakeDirectories(const std::string& path, int mode = 0755);

// Makes the directory `path`, whose parent exists. FAILED_PRECONDITION when something else has its name, also a link to
// a directory: somebody else could have chosen the target.
absl::Status MakePlainDirectory(const std::string& path, int mode = 0755);

bool FileExists(const std::string& path);

// Removes a file or a directory tree, however deep or large it is and whatever modes its owner has given to directories
// in it; descriptors and memory are bounded. Links are not followed. Absent: nothing to do. CANCELLED after a stop was
// asked for.
absl::Status RemoveTree(const std::string& path, std::stop_token stop = {});

// Reads or creates DIR/FORMAT. NEWER_FORMAT when the directory was written by a newer version than `version`.
absl::Status CheckFormat(const std::string& dir, absl::string_view what, int version);

}  // namespace riseml
