// Remembers the environments that a project has used, in one small file each. The file stays when the environment is
// removed; it tells what has changed when another one has to be built. Calls never fail: lost files only cost
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

  // Notes that the project uses an environment now. Calls `describe` only if it used another one before. Remembers at
  // most 50 environments of a project.
  void Note(const Project& project, const std::string& key,
            const std::function<internal::v1::KnownEnvironment()>& describe);

  // Notes that the environment has to be built, so that its next use records who built it.
  void NoteMissing(const Project& project, const std::string& key);

  // Returns the record of an environment that the project has used; absent if there is none.
  std::optional<UsedBefore> Find(const Project& project, const std::string& key) const;
  // Returns the record of the environment that the project used last.
  std::optional<UsedBefore> Last(const Project& project) const;

  // Removes the records of environments whose last noted use was more than 30 days ago.
  void Forget(absl::Time now) const;

 private:
  // Returns the directory with the files of a project; empty if nothing is remembered of it.
  std::string DirectoryOf(const Project& project) const;

  const std::string directory_;
  mutable Mutex mu_;
  std::map<std::string, std::string> last_ ABSL_GUARDED_BY(mu_);  // keys by directory of the project; at most 10,000
};

}  // namespace riseml::builder
