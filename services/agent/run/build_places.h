// Directories that a build writes to, and their entries before its steps ran. Finds the entries that steps have made,
// and removes them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/run/tree_copy.h"

namespace riseml::agent {

// A directory of the build and the part of an entry of kept steps (kept_steps.h) that belongs to it.
struct BuildPlace {
  absl::string_view part;
  std::string directory;
  WantsEntry is_made;  // true for entries that steps have made; empty: all entries
};

// Thread-compatible.
class BuildPlaces {
 public:
  // Looks at the directories of a plan with `step_reuse`. `began` must be later than the times of all entries in them.
  static absl::StatusOr<BuildPlaces> Look(const internal::v1::RunPlan& plan, absl::Time began);

  // All places, with or without new entries.
  std::vector<BuildPlace> All() const;
  // Returns the places with what the steps made. FAILED_PRECONDITION, with a reason that begins with "they", if that
  // cannot be kept: changes of the project's own files, or files at other places of a sandbox.
  absl::StatusOr<std::vector<BuildPlace>> Made() const;
  // FAILED_PRECONDITION if the project has a file that is also in `kept`, the files that steps once made in the
  // project's directory.
  absl::Status CheckForConflicts(const std::string& kept) const;

  absl::Status ClearEnvironment() const { return RemoveNew(environment_, {}); }
  // Removes all entries that were not there before.
  absl::Status RemoveMade() const;

 private:
  BuildPlaces() = default;
  absl::StatusOr<std::set<std::string>> NamesBelow(const std::string& top) const;
  absl::StatusOr<std::set<std::string>> NewInCode() const;
  absl::Status RemoveNew(const std::string& top, const std::set<std::string>& before) const;

  std::string environment_, code_, temporary_;
  absl::Time began_;
  std::set<std::string> mounts_;                          // paths that something is mounted on
  std::set<std::string> code_before_, temporary_before_;  // paths below the directories
  std::int64_t root_files_before_ = 0;
};

}  // namespace riseml::agent
