// Manages the directory of environments (environment_layout.h): lists, removes, and finds the newest of several.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::builder {

// True for 64 hex digits.
bool IsKey(absl::string_view text);

// Thread-safe.
class StoredEnvironments {
 public:
  explicit StoredEnvironments(std::string directory) : directory_(std::move(directory)) {}

  // Removes the remains of interrupted removals. Called once, at the start.
  absl::Status Sweep();

  // Returns the path of a user's environment, whether it exists or not.
  std::string PathOf(absl::string_view owner_uid, absl::string_view key) const;
  // Returns true if the environment's build has succeeded.
  bool IsComplete(absl::string_view key) const;
  // Returns a hash of a complete environment's key and of the names and versions of its Python packages, 64 hex digits;
  // empty if the environment is gone.
  std::string DigestOf(const std::string& key);
  // Returns the job that built the environment, e.g. "26.build"; empty if that is not known.
  std::string BuilderOf(absl::string_view key) const;

  // Makes a rebuilt environment replace the one with the key `base`, unless a newer one does so already.
  absl::Status SetNewest(absl::string_view base, absl::string_view key);
  // Returns the environment to use for `base`: the newer complete one of `base` and its rebuilt environment, otherwise
  // `base`.
  std::string NewestOf(absl::string_view base) const;

  // Lists all environments by key. Leaves out those that vanish meanwhile.
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List();
  // Removes an environment; does nothing if it is absent. INVALID_ARGUMENT for an invalid key.
  absl::Status Remove(const std::string& key);

 private:
  std::string PointerOf(absl::string_view base) const;
  // Returns the time of completion in nanoseconds since 1970; nullopt if the environment is not complete.
  std::optional<std::int64_t> SealedTime(absl::string_view key) const;
  std::vector<std::string> Owners() const;
  // Returns the place of the complete environment with this key; empty if there is none.
  std::string FindSealed(absl::string_view key) const;
  // Returns the place of the environment with this key, complete or not; empty if there is none.
  std::string Find(absl::string_view key) const;
  // Returns the record of one environment; absent if it is gone.
  std::optional<internal::v1::StoredEnvironment> Look(const std::string& key);

  const std::string directory_;
  Mutex mu_;
  // By key and seal time; complete ones do not change.
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> sizes_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<std::string, std::int64_t>, std::string> digests_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::builder
