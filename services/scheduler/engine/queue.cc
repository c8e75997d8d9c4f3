#include "services/scheduler/engine/queue.h"

namespace riseml::scheduler::engine {
namespace {

Key KeyOf(const Job& job) { return {-job.priority, job.sequence, job.id}; }

bool IsGangMember(const Job& job) { return !job.gang.empty() && job.gang_size > 1; }

}  // namespace

void Queue::Put(const Job& job) {
  const auto known = jobs_.find(job.id);
  if (known != jobs_.end() && known->second.job == job) return;
  Remove(job.id);
  jobs_.emplace(job.id, Entry{job, nullptr});
  const Key key = KeyOf(job);
  if (IsGangMember(job)) {
    gangs_[job.gang].insert(key);
    return;
  }
  Lane& lane = lanes_[{job.user, job.shape, job.next}];
  lane.user = job.user;
  lane.shape = job.shape;
  lane.next = job.next;
  lane.jobs.insert(key);
  lane.exempt.insert(key);
}

void Queue::Remove(const std::string& id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  const Job& job = it->second.job;
  const Key key = KeyOf(job);
  if (IsGangMember(job)) {
    const auto gang = gangs_.find(job.gang);
    gang->second.erase(key);
    if (gang->second.empty()) gangs_.erase(gang);
  } else {
    const auto lane = lanes_.find({job.user, job.shape, job.next});
    lane->second.jobs.erase(key);
    lane->second.exempt.erase(key);
    if (lane->second.jobs.empty()) lanes_.erase(lane);
  }
  jobs_.erase(it);
}

void Queue::Tell(const Key& key, const VerdictPtr& why, std::vector<Wait>* waits) {
  Entry& entry = jobs_.at(std::get<std::string>(key));
  if (entry.told != nullptr && *entry.told == *why) return;
  entry.told = why;
  waits->push_back({entry.job.id, why});
}

void Queue::TellLane(Lane& lane, const Key& head, const VerdictPtr& at_head, const VerdictPtr& behind,
                     std::vector<Wait>* waits) {
  if (lane.behind == nullptr || *lane.behind != *behind) {
    lane.behind = behind;
    lane.exempt = lane.jobs;
  }
  Tell(head, at_head, waits);
  for (auto it = lane.exempt.lower_bound(head); it != lane.exempt.end();) {
    if (*it != head) Tell(*it, behind, waits);
    it = lane.exempt.erase(it);
  }
  if (*at_head != *behind) lane.exempt.insert(head);
}

}  // namespace riseml::scheduler::engine
