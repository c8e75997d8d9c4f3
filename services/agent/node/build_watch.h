// Ends builds that take too long, or too much of the node's disks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_table.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

struct BuildLimits {
  absl::Duration time;     // since the first step began
  std::int64_t bytes = 0;  // less than 0: no bound
};

// Limits as configured. INVALID_ARGUMENT for a time that is not between a second and 24 hours, after which a build
// could not send its image any more.
absl::StatusOr<BuildLimits> BuildLimitsOf(const config::v1::NodeConfig& config);

// Time and disk that a build has taken so far.
struct BuildUse {
  absl::Duration time;
  std::int64_t bytes = 0;
};

// Returns the end of a build that takes more than `limits`; nullopt for one that may go on. Pure.
std::optional<internal::v1::AttemptEnded> EndOfBuild(const BuildUse& use, const BuildLimits& limits,
                                                     const std::string& node);

// Has its own thread, which looks once a second at the times. It spends at most a twentieth of its time on counting
// files.
class BuildWatch {
 public:
  // Collaborators; references must outlive the watch.
  struct Parts {
    AttemptReconciler& reconciler;
    const Launcher& launcher;
    const AttemptTable& table;
    const Clock& clock;
    std::string node;
  };

  BuildWatch(const BuildLimits& limits, Parts parts);

 private:
  struct Build {
    internal::v1::StartAttemptRequest start;
    // Bytes that builds of the same user share, when this one was first seen. After a restart of the node it may have
    // written some of them itself.
    std::int64_t shared_before = 0;
    std::int64_t bytes = 0;  // at the last count
    bool ended = false;
  };

  void Run(const std::stop_token& stop);
  void FindBuilds();
  void Count(const AttemptId& id, Build& build) const;
  void EndIfOver(const AttemptId& id, Build& build) const;
  // Bytes of files of the build, and of those that builds of its user share.
  std::int64_t OwnBytes(const AttemptId& id, const Build& build) const;
  std::int64_t SharedBytes(const AttemptId& id, const Build& build) const;

  const BuildLimits limits_;
  const Parts parts_;
  std::map<AttemptId, Build> builds_;  // those that have not ended
  absl::Time next_count_ = absl::InfinitePast();
  std::jthread thread_;
};

}  // namespace riseml::agent
