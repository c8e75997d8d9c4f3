// Nodes and attempts with numbered changes: the common half of all Clusters.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "services/common/base/mutex.h"
#include "services/scheduler/cluster/cluster.h"

namespace riseml::scheduler {

// Thread-safe. Remembers the last 10,000 removals of attempts, and as many of nodes.
class ClusterStore {
 public:
  void SetWake(std::function<void()> wake);
  ClusterChanges Read(std::int64_t version) const;

  std::map<std::string, absl::Time> LastHeard() const;
  // Address of each member's node. NOT_FOUND for an unknown node.
  absl::StatusOr<std::vector<std::string>> AddressesOf(const GangRequest& request) const;

  // Adds a node that has not been heard yet.
  void AddNode(const std::string& name, const std::string& address);
  // Begins a new connection: the attempts put before FinishList are all the node knows. A node counts as heard once it
  // has finished its first list.
  void BeginList(const std::string& name);
  void PutNode(const std::string& name, const v1::Node& node, absl::Time now);
  void PutAttempt(const std::string& name, const internal::v1::AttemptStatus& status, absl::Time now);
  // Drops attempts of the node that were not put since BeginList.
  void FinishList(const std::string& name, absl::Time now);
  void Heard(const std::string& name, absl::Time now);  // changes nothing else, and wakes nobody
  // Removes a node that has left the cluster.
  void RemoveNode(const std::string& name);
  void Disconnected(const std::string& name);
  void Remove(const std::string& name, const std::vector<AttemptId>& keys);

 private:
  using Place = std::pair<AttemptId, std::string>;  // the same attempt may, by mistake, be on two nodes
  struct Node {
    NodeState state;
    std::int64_t version = 0;
    std::set<AttemptId> unlisted;  // attempts not yet put on this connection
    bool listing = false;
    absl::Time last_heard = absl::InfinitePast();
  };
  struct Attempt {
    internal::v1::AttemptStatus status;
    std::int64_t version = 0;
  };

  void Touch(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { node.version = ++version_; }
  static void NoteHeard(Node& node, absl::Time now);
  void Erase(const Place& place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake() const;
  template <class T>
  using Removals = std::deque<std::pair<std::int64_t, T>>;  // with the version of each
  template <class T>
  void NoteRemoval(Removals<T>& removals, const T& removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);
  std::int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t first_known_removal_ ABSL_GUARDED_BY(mu_) = 0;  // removals after this version are in `removed_`
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(mu_);
  std::map<Place, Attempt> attempts_ ABSL_GUARDED_BY(mu_);
  std::map<std::int64_t, Place> changed_ ABSL_GUARDED_BY(mu_);  // attempts by version
  Removals<AttemptId> removed_ ABSL_GUARDED_BY(mu_);
  Removals<std::string> removed_nodes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::scheduler
