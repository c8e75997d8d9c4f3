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

  // Returns the setting for the plan of an attempt; nullopt unless the attempt builds an environment in
  // `work_directory`, the directory of its owner. `temporary` is the path at which the attempt sees its temporary
  // files.
  std::optional<internal::v1::StepReuse> PlanFor(const internal::v1::StartAttemptRequest& start,
                                                 const std::string& work_directory, const std::string& temporary) const;

  // Removes results beyond the bounds and those that interrupted builds have left. Problems are logged. No effect if
  // `work_directory` is empty.
  void Trim(const std::string& work_directory, absl::Time now) const;
  // The same for all users.
  void TrimAll(absl::Time now) const;

 private:
  const std::string environments_dir_;
  const std::int64_t bytes_limit_;
};

}  // namespace riseml::agent
