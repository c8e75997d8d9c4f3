#include "services/scheduler/cluster/cluster_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::scheduler {
namespace {

constexpr std::size_t kMaxRemovals = 10'000;

}  // namespace

void ClusterStore::SetWake(std::function<void()> wake) {
  MutexLock lock(mu_);
  wake_ = std::move(wake);
}

void ClusterStore::Wake() const {
  std::function<void()> wake;
  {
    MutexLock lock(mu_);
    wake = wake_;
  }
  if (wake) wake();
}

ClusterChanges ClusterStore::Read(std::int64_t version) const {
  MutexLock lock(mu_);
  ClusterChanges changes;
  changes.version = version_;
  changes.complete = version == 0 || version < first_known_removal_;
  const std::int64_t after = changes.complete ? 0 : version;
  for (const auto& [name, node] : nodes_)
    if (node.version > after) changes.nodes.push_back(node.state);
  for (auto it = changed_.upper_bound(after); it != changed_.end(); ++it)
    changes.attempts.push_back({it->second.second, attempts_.at(it->second).status});
  if (changes.complete) return changes;
  for (auto it = removed_.rbegin(); it != removed_.rend() && it->first > after; ++it)
    changes.gone.push_back(it->second);
  for (auto it = removed_nodes_.rbegin(); it != removed_nodes_.rend() && it->first > after; ++it)
    changes.gone_nodes.push_back(it->second);
  return changes;
}

void ClusterStore::AddNode(const std::string& name, const std::string& address) {
  MutexLock lock(mu_);
  Node& node = nodes_[name];
  node.state.name = name;
  node.state.address = address;
  Touch(node);
}

void ClusterStore::BeginList(const std::string& name) {
  MutexLock lock(mu_);
  Node& node = nodes_.at(name);
  node.listing = true;
  node.unlisted.clear();
  for (const auto& [place, attempt] : attempts_)
    if (place.second == name) node.unlisted.insert(place.first);
}

void ClusterStore::PutNode(const std::string& name, const v1::Node& inventory, absl::Time now) {
  {
    MutexLock lock(mu_);
    Node& node = nodes_.at(name);
    node.state.node = inventory;
    NoteHeard(node, now);
    Touch(node);
  }
  Wake();
}

void ClusterStore::PutAttempt(const std::string& name, const internal::v1::AttemptStatus& status, absl::Time now) {
  {
    MutexLock lock(mu_);
    Node& node = nodes_.at(name);
    NoteHeard(node, now);
    const Place place{{status.job_uid(), status.attempt()}, name};
    node.unlisted.erase(place.first);
    Attempt& attempt = attempts_[place];
    changed_.erase(attempt.version);
    attempt.status = status;
    attempt.version = ++version_;
    changed_.emplace(version_, place);
  }
  Wake();
}

void ClusterStore::FinishList(const std::string& name, absl::Time now) {
  {
    MutexLock lock(mu_);
    Node& node = nodes_.at(name);
    if (node.listing)
      for (const AttemptId& key : node.unlisted) Erase({key, name});
    node.listing = false;
    node.unlisted.clear();
    node.state.synced = true;
    node.last_heard = now;
    Touch(node);
  }
  Wake();
}

void ClusterStore::Heard(const std::string& name, absl::Time now) {
  MutexLock lock(mu_);
  NoteHeard(nodes_.at(name), now);
}

// A node offers nothing until the resources of its attempts are known.
void ClusterStore::NoteHeard(Node& node, absl::Time now) {
  const bool first_list = node.listing && node.last_heard == absl::InfinitePast();
  if (!first_list) node.last_heard = now;
}

std::map<std::string, absl::Time> ClusterStore::LastHeard() const {
  MutexLock lock(mu_);
  std::map<std::string, absl::Time> last_heard;
  for (const auto& [name, node] : nodes_) last_heard.emplace(name, node.last_heard);
  return last_heard;
}

absl::StatusOr<std::vector<std::string>> ClusterStore::AddressesOf(const GangRequest& request) const {
  MutexLock lock(mu_);
  std::vector<std::string> addresses;
  for (const GangRequest::Member& member : request.members) {
    const auto node = nodes_.find(member.node);
    if (node == nodes_.end())
      return Error(Reason::kNotFound, absl::StrCat("node ", member.node, " is not part of the cluster"));
    addresses.push_back(node->second.state.address);
  }
  return addresses;
}

void ClusterStore::RemoveNode(const std::string& name) {
  {
    MutexLock lock(mu_);
    std::vector<AttemptId> keys;
    for (const auto& [place, attempt] : attempts_)
      if (place.second == name) keys.push_back(place.first);
    for (const AttemptId& key : keys) Erase({key, name});
    if (nodes_.erase(name) == 0) return;
    NoteRemoval(removed_nodes_, name);
  }
  Wake();
}

void ClusterStore::Disconnected(const std::string& name) {
  {
    MutexLock lock(mu_);
    Node& node = nodes_.at(name);
    node.listing = false;
    if (!node.state.synced) return;
    node.state.synced = false;
    Touch(node);
  }
  Wake();
}

void ClusterStore::Remove(const std::string& name, const std::vector<AttemptId>& keys) {
  {
    MutexLock lock(mu_);
    for (const AttemptId& key : keys) Erase({key, name});
  }
  Wake();
}

void ClusterStore::Erase(const Place& place) {
  const auto it = attempts_.find(place);
  if (it == attempts_.end()) return;
  changed_.erase(it->second.version);
  attempts_.erase(it);
  NoteRemoval(removed_, place.first);
}

template <class T>
void ClusterStore::NoteRemoval(Removals<T>& removals, const T& removed) {
  removals.emplace_back(++version_, removed);
  if (removals.size() <= kMaxRemovals) return;
  first_known_removal_ = std::max(first_known_removal_, removals.front().first);
  removals.pop_front();
}

}  // namespace riseml::scheduler
