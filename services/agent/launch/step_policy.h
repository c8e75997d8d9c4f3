// Decides whether the builds of a node keep the results of their steps for later builds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"

namespace riseml::agent {

// Thread-safe.
class StepPolicy {
 public:
  explicit StepPolicy(const config::v1::NodeConfig& config);

  // Returns how the build of this attempt keeps and reuses results of steps; nullopt if the attempt is not a build in
  // `work_directory` (its user's), if it has secrets, or if keeping is turned off (a negative limit). `temporary` is
  // the path at which the attempt sees its temporary files.
  std::optional<internal::v1::StepReuse> PlanFor(const internal::v1::StartAttemptRequest& start,
                                                 const std::string& work_directory, const std::string& temporary) const;

  // Removes results beyond the limits (bytes, age) and what interrupted builds have left. Problems are logged. No
  // effect if `work_directory` is empty.
  void Trim(const std::string& work_directory, absl::Time now) const;
  // The same for all users.
  void TrimAll(absl::Time now) const;

 private:
  const std::string environments_dir_;
  const std::int64_t bytes_limit_;
};

}  // namespace riseml::agent
