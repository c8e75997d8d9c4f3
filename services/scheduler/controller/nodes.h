// Prepares the view of the nodes for the engine, api and the reconciler: resources, and whether they are heard.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/scheduler/controller/shared.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler {

// Nodes with their readiness: not ready while never heard, or silent for longer than the limit.
std::vector<v1::Node> PresentNodes(const JobTable& jobs, const std::map<std::string, absl::Time>& last_heard,
                                   absl::Time now, absl::Duration silence_limit);

// The node as the engine takes it.
engine::Node EngineNode(const v1::Node& node);

// Lives on one thread.
class Nodes {
 public:
  explicit Nodes(const Shared& shared) : shared_(shared) {}

  // Reads when nodes were last heard, and marks the jobs on nodes that are lost.
  void Update();
  // True once every node has been heard or has had enough time. Before that, nothing is decided or said about nodes.
  bool AreKnown();
  // True when every node has been heard at least once.
  bool AllHeard() const;
  // Returns the time at which the node's attempts are lost if nothing changes. A node that the cluster does not know
  // counts as silent from the first question on.
  absl::Time LostAt(const std::string& node);

  // As of the last Update.
  const std::vector<v1::Node>& present() const { return present_; }
  // Reports the nodes to api after changes and every half minute. False when the leadership is lost.
  bool Report();

 private:
  absl::Time LastHeard(const std::string& node) const;

  const Shared& shared_;
  std::map<std::string, absl::Time> last_heard_;
  std::map<std::string, absl::Time> missing_since_;  // nodes with attempts that the cluster does not know
  std::map<std::string, absl::Time> lost_at_;        // of nodes whose jobs were marked: when they became lost
  std::vector<v1::Node> present_;
  std::string reported_;  // as last reported, without times
  absl::Time report_at_ = absl::InfinitePast();
};

}  // namespace riseml::scheduler
