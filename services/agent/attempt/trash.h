// Removes what attempts leave, away from the work that starts and stops them and with a low priority: a tree of a
// million entries holds up nobody.
#pragma once

#include <condition_variable>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/base/fair_executor.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe. The trees of one owner are removed one after the other, those of several owners side by side. What
// cannot be removed is logged and tried again every minute, also after a restart.
class Trash {
 public:
  // Begins the name of each tree that was put away.
  static constexpr char kPrefix[] = ".trash-";

  // A new name for a tree of `owner`, and who that was.
  static std::string NameFor(const std::string& owner);
  static std::string OwnerIn(absl::string_view name);

  // `directory` lies on the file system of all that is thrown away.
  explicit Trash(std::string directory);
  // Stops within the removal of a tree; the rest is left to the next start.
  ~Trash();

  // Puts a file or directory away at once; it is gone from its place when this returns. Absent: nothing to do. `owner`:
  // UUID of the user whose it is; anything else: nobody's.
  absl::Status Take(const std::string& path, const std::string& owner);

 private:
  void Run(std::stop_token stop);
  void BeginAll();
  void Remove(const std::string& name);

  const std::string directory_;
  std::stop_source stop_;
  Mutex mu_;
  std::condition_variable_any filled_;
  bool news_ ABSL_GUARDED_BY(mu_) = true;                // of an earlier process
  std::set<std::string> removing_ ABSL_GUARDED_BY(mu_);  // names of trees, waiting or under way
  FairExecutor removals_;
  std::jthread thread_;
};

}  // namespace riseml::agent
