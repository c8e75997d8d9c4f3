// Port to the nodes that run attempts. `Read` serves as list and as watch; `Start` may be repeated; each change has a
// version number.
//
// A Cluster stores what its nodes report and numbers the changes. A reader at version v asks for the changes after v
// and gets the newest state of each changed object once. If v is too old to compute the changes, the reader gets
// everything again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "riseml/v1/node.pb.h"
#include "services/common/base/id.h"

namespace riseml::scheduler {

struct NodeState {
  std::string name;     // as configured, e.g. "local"
  std::string address;  // host at which other members of a gang reach it
  v1::Node node;        // inventory, including use by others than the platform; empty until first heard
  bool synced = false;  // connected, and all attempts it knows have been listed on this connection
};

struct AttemptOnNode {
  std::string node;
  internal::v1::AttemptStatus status;
  AttemptId key() const { return {status.job_uid(), status.attempt()}; }
};

struct ClusterChanges {
  std::int64_t version = 0;  // to be passed to the next Read
  bool complete = false;     // lists everything: what is not in it is gone
  std::vector<NodeState> nodes;
  std::vector<std::string> gone_nodes;  // nodes that have left the cluster, with their attempts
  std::vector<AttemptOnNode> attempts;
  std::vector<AttemptId> gone;  // attempts no node knows any more
};

// Members of a gang that are about to start.
struct GangRequest {
  struct Member {
    AttemptId key;
    std::string role;
    int index = 0;  // within its role, from 0
    std::string node;
  };
  std::string experiment_uid;  // owner of what the gang shares
  std::string gang;
  std::int64_t epoch = 0;
  std::vector<Member> members;
};

// Thread-safe.
class Cluster {
 public:
  virtual ~Cluster() = default;

  // Returns the changes after `version`; everything for 0. Does not block.
  virtual ClusterChanges Read(std::int64_t version) = 0;

  // `wake` is called, on any thread, after each change; it must not block. Call SetWake once, before anything changes.
  virtual void SetWake(std::function<void()> wake) = 0;

  // Returns the time at which each node was last heard: InfinitePast if never. A sign of life that changes nothing
  // wakes nobody and is visible only here.
  virtual std::map<std::string, absl::Time> LastHeard() const = 0;

  // Makes what the members of a gang share, e.g. an owner object and a host list. Returns the address at which others
  // reach each member, in the order of the request. Idempotent; call it before the Start of the first member. The
  // Forget of the last removes what they share. NOT_FOUND for an unknown node; otherwise errors as of Start.
  virtual absl::StatusOr<std::vector<std::string>> PrepareGang(const GangRequest& request) = 0;

  // Creates an attempt; leaves a known one as it is. Returns when the node has recorded it durably. An attempt that
  // does not fit, because the node has too little or other attempts still hold the resources, is created as already
  // ended: REJECTED. Errors that a retry does not cure: INVALID_ARGUMENT; FAILED_PRECONDITION (a newer attempt is
  // known); RESOURCE_EXHAUSTED (DISK_FULL). NOT_FOUND for an unknown node. This call and those below return ABORTED
  // (NOT_LEADER) and change nothing if a leader with a higher epoch has called the node. After any other error the
  // attempt may or may not exist.
  virtual absl::Status Start(const std::string& node, const internal::v1::StartAttemptRequest& request) = 0;
  // Asks an attempt to end; an unknown one is recorded as stopped, so that a late Start does nothing.
  virtual absl::Status Stop(const std::string& node, const AttemptId& key, std::int64_t epoch) = 0;
  // Tells the node that the end of these attempts is recorded, and removes them from the store.
  virtual absl::Status Forget(const std::string& node, const std::vector<AttemptId>& keys, std::int64_t epoch) = 0;
};

}  // namespace riseml::scheduler
