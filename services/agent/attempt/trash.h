// Removes files that attempts leave behind, on threads of its own and with a low priority, so that a tree of a million
// entries does not delay the starts and stops of attempts.
#pragma once

#include <condition_variable>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/fair_executor.h"

namespace riseml::agent {

// Thread-safe. Removes the trees of one owner one after the other, those of different owners in parallel. A tree that
// cannot be removed is logged and tried again every minute, also after a restart.
class Trash {
 public:
  // Prefix of the name of each tree that was put away.
  static constexpr char kPrefix[] = ".trash-";

  // Makes a new name for a tree of `owner`. OwnerIn returns the owner in such a name.
  static std::string NameFor(const std::string& owner);
  static std::string OwnerIn(absl::string_view name);

  // `directory` must be on the same file system as everything that is thrown away.
  explicit Trash(std::string directory);
  // Stops, if need be in the middle of a tree; the next start removes the rest.
  ~Trash();

  // Puts a file or directory away: it is gone from its place when this returns. No effect if it is absent. `owner` is
  // the UUID of the user who owns it; any other text means no owner.
  absl::Status Take(const std::string& path, const std::string& owner);

 private:
  void Run(std::stop_token stop);
  void BeginAll();
  void Remove(const std::string& name);

  const std::string directory_;
  std::stop_source stop_;
  Mutex mu_;
  std::condition_variable_any filled_;
  bool news_ ABSL_GUARDED_BY(mu_) = true;                // initially true: trees of an earlier process
  std::set<std::string> removing_ ABSL_GUARDED_BY(mu_);  // names of trees, waiting or under way
  FairExecutor removals_;
  std::jthread thread_;
};

}  // namespace riseml::agent
