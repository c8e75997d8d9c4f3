// Ids as people type them: "14", "14.3", "14.3.train", ".paul.14", ".paul", "@last", "-1", UUIDs.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::cli {

// The resource that an id names. `user` is empty for the caller's own resources.
struct Target {
  enum class Kind { kUser, kExperiment, kJob, kRecent };
  Kind kind = Kind::kExperiment;
  std::string user;
  std::int64_t number = 0;  // experiment or set; 0 when a UUID names it
  std::int64_t child = 0;   // child of a set; 0: none
  std::string uid;          // UUID of an experiment, otherwise empty
  std::string job;          // "train", "worker.3"; only of kJob
  int back = 0;             // only of kRecent: 1 is the newest experiment, 2 the one before
};

inline constexpr int kMaxBack = 500;

// Reads `[.user.]N[.M][.jobtype[.K]]` (the leading dot may be left out), `.user`, `@last`, `-1` to `-500`, or a UUID.
// Fails with INVALID_ARGUMENT `Id does not identify any RiseML entity!`.
absl::StatusOr<Target> ParseTarget(absl::string_view text);

// "users/paul/experiments/14.3" or "…/jobs/train" for kExperiment and kJob; `caller` stands in for an empty user.
std::string ExperimentResource(const Target& target, absl::string_view caller);
std::string Resource(const Target& target, absl::string_view caller);

// Returns the id that is shown to the caller: "14.3.train", or ".paul.14.3.train" for another user's resource.
std::string ShownId(absl::string_view resource, absl::string_view caller);

}  // namespace riseml::cli
