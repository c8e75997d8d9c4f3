// Removes what attempts leave, away from the work that starts and stops them: a tree of a million entries holds up
// nobody.
#pragma once

#include <condition_variable>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe. One thread removes; what it cannot remove is logged and tried again every minute, also after a restart.
class Trash {
 public:
  // Begins the name of each tree that was put away.
  static constexpr char kPrefix[] = ".trash-";

  // `directory` lies on the file system of all that is thrown away.
  explicit Trash(std::string directory);
  // Stops within the removal of a tree; the rest is left to the next start.
  ~Trash();

  // Puts a file or directory away at once; it is gone from its place when this returns. Absent: nothing to do.
  absl::Status Take(const std::string& path);

 private:
  void Run(std::stop_token stop);
  void RemoveAll(std::stop_token stop);

  const std::string directory_;
  Mutex mu_;
  std::condition_variable_any filled_;
  bool news_ ABSL_GUARDED_BY(mu_) = true;  // of an earlier process
  std::jthread thread_;
};

}  // namespace riseml::agent
