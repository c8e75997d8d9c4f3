// Stores the results of the first steps of builds for later builds of the same user: a directory with one entry for
// each prefix key.
//
// An entry appears completely or not at all. A reader holds the lock of the entry, so that it is not removed meanwhile.
// Jobs can write to the directory: code outside of a sandbox must trust nothing in it except the names of its entries.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

// Name of the directory, beside the user's environments.
inline constexpr char kKeptStepsName[] = "steps";

// True for 64 hex digits, as keys of steps and environments are.
bool IsStepKey(absl::string_view text);

// Parts of an entry.
inline constexpr char kKeptEnvironment[] = "/env";  // the virtual environment
inline constexpr char kKeptCode[] = "/code";        // new files of the project's directory
inline constexpr char kKeptTemporary[] = "/tmp";    // temporary files, and HOME
inline constexpr char kKeptState[] = "/state";      // state of the shell

// An entry that is being made. The destructor removes it unless it was published.
class NewKeptSteps {
 public:
  static absl::StatusOr<NewKeptSteps> Create(const std::string& directory);
  NewKeptSteps(NewKeptSteps&& other) noexcept
      : directory_(std::move(other.directory_)), path_(std::exchange(other.path_, "")), lock_(std::move(other.lock_)) {}
  ~NewKeptSteps();

  const std::string& path() const { return path_; }
  // Writes the whole entry to the disk, then gives it its key. OK if another build has published this key meanwhile.
  absl::Status Publish(const internal::v1::KeptSteps& description, const std::string& key);

 private:
  NewKeptSteps(std::string directory, std::string path) : directory_(std::move(directory)), path_(std::move(path)) {}

  std::string directory_, path_;
  UniqueFd lock_;
};

// An entry that is not removed while this lives.
struct HeldKeptSteps {
  std::string path;
  internal::v1::KeptSteps description;
  UniqueFd lock;
};

// True when there is an entry.
bool HasKeptSteps(const std::string& directory, const std::string& key);
// Holds an entry and records its use at `now`. NOT_FOUND if there is none, if it is being removed, or if another
// version has made it.
absl::StatusOr<HeldKeptSteps> HoldKeptSteps(const std::string& directory, const std::string& key, absl::Time now);

// Removes an entry, so that it is not found any more. If it is held, TrimKeptSteps removes its files later.
absl::Status RemoveKeptSteps(const std::string& directory, const std::string& key);

struct KeptLimits {
  std::int64_t bytes = 0;  // of all entries together
  absl::Duration age;      // since the last use
};
struct KeptEntry {
  std::string key;
  std::int64_t bytes = 0;
  absl::Time used;
};
// Keys of the entries to remove: those beyond the age, then those used longest ago until the rest is within the bound.
std::vector<std::string> BeyondLimits(std::vector<KeptEntry> entries, const KeptLimits& limits, absl::Time now);

// Removes entries beyond the limits, and files that interrupted builds and removals have left. No effect if the
// directory is absent.
absl::Status TrimKeptSteps(const std::string& directory, const KeptLimits& limits, absl::Time now);

}  // namespace riseml::agent
