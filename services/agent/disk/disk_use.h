// Measures disks, and the space that attempts take on them.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/disk/disk_guard.h"

namespace riseml::agent {

absl::StatusOr<DiskSpace> SpaceAt(const std::string& directory);

// The file system that a file or directory lies on.
absl::StatusOr<dev_t> DeviceOf(const std::string& path);

// Directory with what a container has changed in the file system of its image, from /proc/PID/mountinfo of a process in
// it; empty: its file system is not an overlay.
std::string ChangesOfContainer(absl::string_view mountinfo);

// Counts the bytes that files take on one file system: blocks, not lengths. Each file counts once. Thread-compatible.
class DiskUseCounter {
 public:
  // Counting stops at this number of entries.
  static constexpr int kMostEntries = 500'000;

  explicit DiskUseCounter(dev_t device) : device_(device) {}

  // Adds everything below a directory; nothing if it does not exist.
  void AddTree(const std::string& top);
  // Adds the changes that the container of a process has made to its file system.
  void AddContainer(pid_t process);
  // Adds deleted files that descendants of a process still hold open.
  void AddNameless(pid_t root);
  // Adds all of these for an attempt whose own directories are `places`.
  void AddAttempt(const AttemptDir& dir, const std::vector<std::string>& places);

  std::int64_t bytes() const { return bytes_; }
  // False when not everything was counted: too many entries, or directories that cannot be read.
  bool whole() const { return whole_; }

 private:
  bool MayCountOneMore();
  void AddOpenFilesOf(pid_t pid);
  void Add(const struct stat& info);

  const dev_t device_;
  std::int64_t bytes_ = 0;
  int entries_ = 0;
  bool whole_ = true;
  std::set<ino_t> counted_;  // files that may be met again
};

}  // namespace riseml::agent
