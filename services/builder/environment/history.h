// Remembers the environments that a project has used, in one small file each, which stays when the environment is
// removed. Used to tell what has changed when another one has to be built. Calls never fail: lost files only cost
// explanations.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/environment/explain.h"
#include "services/common/base/mutex.h"

namespace riseml::builder {

// Thread-safe.
class History {
 public:
  struct Project {
    std::string owner_uid;
    std::string project_uid;  // no UUID: nothing is remembered
  };

  explicit History(const std::string& environments_dir);

  // The project uses an environment now. `describe` is asked only when it used another one before. At most 50 of a
  // project are remembered.
  void Note(const Project& project, const std::string& key,
            const std::function<internal::v1::KnownEnvironment()>& describe);

  // The environment is to be built: whoever builds it is noted with its next use.
  void NoteMissing(const Project& project, const std::string& key);

  // Returns the record of an environment that the project has used; absent if there is none.
  std::optional<UsedBefore> Find(const Project& project, const std::string& key) const;
  // The one that it used last.
  std::optional<UsedBefore> Last(const Project& project) const;

  // Removes what is known of environments whose use was noted last 30 days ago.
  void Forget(absl::Time now) const;

 private:
  // Returns the directory with the files of a project; empty if nothing is remembered of it.
  std::string DirectoryOf(const Project& project) const;

  const std::string directory_;
  mutable Mutex mu_;
  std::map<std::string, std::string> last_ ABSL_GUARDED_BY(mu_);  // keys by directory of the project; at most 10,000
};

}  // namespace riseml::builder
