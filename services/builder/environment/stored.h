// The directory of the environments: what lies in it (environment_layout.h), which of several is the newest, removal.
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

  // Removes what an interrupted removal has left. Called once, at the start.
  absl::Status Sweep();

  // Returns the path of a user's environment, whether it exists or not.
  std::string PathOf(absl::string_view owner_uid, absl::string_view key) const;
  // True when its build has ended well.
  bool IsComplete(absl::string_view key) const;
  // Of a complete one: hash of the key and of the names and versions of the Python packages in it, 64 hex digits; empty
  // when it is gone.
  std::string DigestOf(const std::string& key);
  // The job that built it, e.g. "26.build"; empty when that is not known.
  std::string BuilderOf(absl::string_view key) const;

  // An environment that was built anew replaces the one with the key `base` from now on, unless a newer one does.
  absl::Status SetNewest(absl::string_view base, absl::string_view key);
  // The environment to use for `base`: of itself and the one that was built anew the newest that is complete, otherwise
  // `base`.
  std::string NewestOf(absl::string_view base) const;

  // All, by key. One that vanishes meanwhile is left out.
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List();
  // Absent: nothing to do. INVALID_ARGUMENT for what is no key.
  absl::Status Remove(const std::string& key);

 private:
  std::string PointerOf(absl::string_view base) const;
  // When it was completed, in nanoseconds since 1970; nullopt when it is not complete.
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
