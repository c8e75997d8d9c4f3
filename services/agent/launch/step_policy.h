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

  // For the plan of an attempt whose owner has `work_directory` and that sees its temporary files as `temporary`.
  // Nothing for what is not a build of an environment there.
  std::optional<internal::v1::StepReuse> PlanFor(const internal::v1::StartAttemptRequest& start,
                                                 const std::string& work_directory, const std::string& temporary) const;

  // Removes what is beyond the bounds, and what interrupted builds have left. Problems are logged. An empty directory
  // is that of nobody.
  void Trim(const std::string& work_directory, absl::Time now) const;
  // The same for all users.
  void TrimAll(absl::Time now) const;

 private:
  const std::string environments_dir_;
  const std::int64_t bytes_limit_;
};

}  // namespace riseml::agent
