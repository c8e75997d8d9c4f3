// Resources of a node that its attempts hold.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "riseml/internal/v1/node_agent.pb.h"
#include "riseml/v1/node.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Decides finally which attempt gets which resources: whatever a scheduler requests, no GPU is given twice and no more
// is given than the node has. Thread-safe.
class Holdings {
 public:
  explicit Holdings(const v1::Node& node);

  // Gives an attempt the resources it asks for. If they do not fit, gives it nothing and returns the reason, e.g.
  // "GPU-1 is held by attempt 1 of job …". An attempt that holds resources already keeps them.
  std::optional<std::string> Take(const AttemptId& id, const internal::v1::StartAttemptRequest& start);
  // Records the resources of an attempt that is running already, without a check.
  void Adopt(const AttemptId& id, const internal::v1::StartAttemptRequest& start);
  void Release(const AttemptId& id);
  // Writes the resources that the attempt holds into its status.
  void Show(const AttemptId& id, internal::v1::AttemptStatus* status) const;

 private:
  struct Holding {
    v1::Resources resources;
    std::vector<std::string> gpu_uuids;
  };
  std::optional<std::string> WhyNotGpus(const internal::v1::StartAttemptRequest& start) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<std::string> WhyNotAmounts(const internal::v1::StartAttemptRequest& start) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const v1::Node node_;
  mutable Mutex mu_;
  std::map<AttemptId, Holding> holdings_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::agent
