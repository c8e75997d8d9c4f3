// Port to builder, and what was asked lately.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/builder.pb.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "services/common/base/clock.h"

namespace riseml::scheduler {

// Tells the environment a job needs. Called by one thread; blocks for 3 s at most.
class Environments {
 public:
  virtual ~Environments() = default;
  virtual absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request) = 0;
};

// The request a job makes.
internal::v1::ResolveEnvironmentRequest RequestOf(const internal::v1::JobTemplate& job);

// Remembers answers for a second: a thousand jobs of one experiment ask once. After an error that says builder is away,
// nothing is asked for as long, so that a hanging builder costs one time limit and not one for each job. Lives on one
// thread.
class EnvironmentCache {
 public:
  // Both outlive this.
  EnvironmentCache(Environments& environments, const Clock& clock) : environments_(environments), clock_(clock) {}

  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::JobTemplate& job);
  // To be called when a build has ended.
  void Clear() { answers_.clear(); }

 private:
  struct Answer {
    absl::StatusOr<internal::v1::Environment> environment;
    absl::Time until;
  };
  Environments& environments_;
  const Clock& clock_;
  std::map<std::string, Answer> answers_;  // by serialised request; at most 10,000
  absl::Status away_;
  absl::Time away_until_ = absl::InfinitePast();
};

}  // namespace riseml::scheduler
