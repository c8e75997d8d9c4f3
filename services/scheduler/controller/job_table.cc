#include "services/scheduler/controller/job_table.h"

#include <algorithm>
#include <vector>

#include "services/common/base/log.h"

namespace riseml::scheduler {

using internal::v1::LiveAttempt;
using internal::v1::Work;

bool Job::is_terminal() const {
  return work.state() == v1::Job::FINISHED || work.state() == v1::Job::FAILED || work.state() == v1::Job::KILLED;
}

const LiveAttempt* Job::Live() const {
  if (is_terminal()) return nullptr;
  const LiveAttempt* live = work.has_attempt() ? &work.attempt() : nullptr;
  if (committed && (live == nullptr || live->number() < committed->number())) live = &*committed;
  return live != nullptr && live->number() > end_reported ? live : nullptr;
}

std::vector<const AttemptOnNode*> Job::Strays() const {
  const LiveAttempt* const live = Live();
  std::vector<const AttemptOnNode*> strays;
  for (const auto& [number, attempt] : on_nodes) {
    if (live != nullptr && live->number() == number) continue;
    if (attempt.status.phase() != internal::v1::AttemptStatus::ENDED) strays.push_back(&attempt);
  }
  return strays;
}

Recorded Job::RecordedState(const LiveAttempt& live) const {
  const bool starting = live.state() == v1::Attempt::STARTING && started_reported < live.number();
  return starting ? Recorded::kStarting : Recorded::kRunning;
}

bool Job::IsConfirmed() const {
  if (is_terminal()) return true;
  if (settled && work.state() == v1::Job::PENDING) return false;
  if (!work.has_attempt()) return true;
  const LiveAttempt& attempt = work.attempt();
  if (attempt.number() == end_reported) return false;
  return attempt.number() != started_reported || attempt.state() != v1::Attempt::STARTING;
}

void JobTable::Apply(const WorkBatch& batch) {
  if (batch.from_start) {
    for (auto& [uid, job] : jobs_) job.listed = false;
    listing_ = true;
  }
  for (const Work& work : batch.work) Put(work);
  if (!batch.synced) return;
  work_synced_ = true;
  if (!listing_) return;
  listing_ = false;
  for (auto& [uid, job] : jobs_) {
    if (!job.listed) Ended(job);
    MarkDirty(uid);
  }
}

void JobTable::Put(const Work& work) {
  Job& job = jobs_[work.job_uid()];
  job.listed = true;
  // A full list is always trusted: the database may have been restored from an older copy.
  if (work.version() < job.work.version() && !listing_) return;
  const std::string gang = job.work.gang();
  job.work = work;
  if (job.is_terminal()) job.work.set_gang(gang);  // for an ended job, api only says how it ended
  job.wait_reason = work.wait_reason();
  job.wait_message = work.wait_message();
  if (job.committed && work.has_attempt() && work.attempt().number() >= job.committed->number()) job.committed.reset();
  if (!work.gang().empty()) gangs_[work.gang()].insert(work.job_uid());
  if (job.is_terminal()) {
    NoteFailedBuild(job);
    Ended(job);
  }
  MarkDirty(work.job_uid());
  for (const std::string& member : Gang(work.gang())) MarkDirty(member);
}

void JobTable::NoteFailedBuild(const Job& job) {
  // If a kill or the platform ended a build, other jobs may still build the environment.
  constexpr char kExitedByItself[] = "ERROR";
  if (!job.is_build() || job.environment_key.empty() || job.work.state() != v1::Job::FAILED) return;
  if (job.work.reason() == kExitedByItself)
    failed_builds_.push_back({job.work.job(), job.environment_key, job.work.message()});
}

// Clears the live state of a job that has ended or that api does not know.
void JobTable::Ended(Job& job) {
  if (job.is_build()) ++builds_ended_;
  if (!job.is_terminal()) job.work.set_state(v1::Job::KILLED);
  job.work.clear_attempt();
  job.committed.reset();
  job.candidate = false;
  const auto gang = gangs_.find(job.work.gang());
  if (gang == gangs_.end()) return;
  for (const std::string& member : gang->second) MarkDirty(member);
  gang->second.erase(job.work.job_uid());
  if (gang->second.empty()) gangs_.erase(gang);
}

void JobTable::Apply(const ClusterChanges& changes) {
  cluster_version_ = changes.version;
  if (changes.complete) {
    for (auto& [uid, job] : jobs_) {
      job.on_nodes.clear();
      MarkDirty(uid);
    }
  }
  if (changes.complete) nodes_.clear();
  for (const std::string& node : changes.gone_nodes) nodes_.erase(node);
  for (const NodeState& node : changes.nodes) {
    NodeState& known = nodes_[node.name];
    const bool other_connection = known.synced != node.synced;
    known = node;
    if (other_connection) MarkJobsOn(node.name);
  }
  for (const AttemptId& key : changes.gone) {
    const auto it = jobs_.find(key.job_uid);
    if (it == jobs_.end()) continue;
    it->second.on_nodes.erase(key.attempt);
    MarkDirty(key.job_uid);
  }
  for (const AttemptOnNode& attempt : changes.attempts) {
    Job& job = jobs_[attempt.status.job_uid()];
    if (job.work.job_uid().empty()) {  // api has not listed it (yet)
      job.work.set_job_uid(attempt.status.job_uid());
      if (work_synced_) job.work.set_state(v1::Job::KILLED);
    }
    AttemptOnNode& known = job.on_nodes[attempt.status.attempt()];
    if (!attempt.status.drift().empty() && attempt.status.drift() != known.status.drift())
      LogWarning("attempt_drifted", {{"job", job.work.job()},
                                     {"attempt", attempt.status.attempt()},
                                     {"node", attempt.node},
                                     {"how", attempt.status.drift()}});
    known = attempt;
    MarkDirty(attempt.status.job_uid());
  }
}

void JobTable::Commit(const std::string& job_uid, LiveAttempt attempt) {
  Job& job = jobs_[job_uid];
  const bool shown = job.work.has_attempt() && job.work.attempt().number() >= attempt.number();
  if (!shown) job.committed = std::move(attempt);
  job.candidate = false;
  NoteLive(job_uid);
  MarkDirty(job_uid);
  for (const std::string& member : Gang(job.work.gang())) MarkDirty(member);
}

void JobTable::NoteLive(const std::string& job_uid) {
  const auto it = jobs_.find(job_uid);
  if (it != jobs_.end() && it->second.Live() != nullptr) {
    live_.insert(job_uid);
  } else {
    live_.erase(job_uid);
  }
}

void JobTable::MarkJobsOn(const std::string& node) {
  for (const std::string& uid : live_)
    if (const LiveAttempt* live = jobs_.at(uid).Live(); live != nullptr && live->node() == node) MarkDirty(uid);
}

Job* JobTable::Find(const std::string& job_uid) {
  const auto it = jobs_.find(job_uid);
  return it == jobs_.end() ? nullptr : &it->second;
}

void JobTable::DropIfDone(const std::string& job_uid) {
  const auto it = jobs_.find(job_uid);
  if (it == jobs_.end() || !it->second.is_terminal() || !it->second.on_nodes.empty()) return;
  for (const auto& [call, state] : it->second.calls)
    if (state.in_flight) return;
  timers_.erase({it->second.timer, job_uid});
  live_.erase(job_uid);
  jobs_.erase(it);
}

OnNode JobTable::View(const Job& job, const LiveAttempt& live) const {
  const auto attempt = job.on_nodes.find(live.number());
  if (attempt != job.on_nodes.end()) {
    switch (attempt->second.status.phase()) {
      case internal::v1::AttemptStatus::RUNNING:
        return OnNode::kRunning;
      case internal::v1::AttemptStatus::ENDED:
        return OnNode::kEnded;
      default:
        return OnNode::kPreparing;
    }
  }
  const auto node = nodes_.find(live.node());
  return node != nodes_.end() && node->second.synced ? OnNode::kUnknown : OnNode::kNotHeard;
}

const std::set<std::string>& JobTable::Gang(const std::string& gang) const {
  const auto it = gang.empty() ? gangs_.end() : gangs_.find(gang);
  return it == gangs_.end() ? no_gang_ : it->second;
}

void JobTable::Later(const std::string& job_uid, absl::Time time) {
  Job* const job = Find(job_uid);
  if (job == nullptr || job->timer <= time) return;
  timers_.erase({job->timer, job_uid});
  job->timer = time;
  timers_.emplace(time, job_uid);
}

void JobTable::Suspend(const std::string& job_uid, absl::Time until) {
  Job* const job = Find(job_uid);
  if (job == nullptr) return;
  job->candidate = false;
  job->retry_at = until;
  Later(job_uid, until);
}

void JobTable::PlaceLater(const std::string& job_uid, absl::Time now) {
  Job* const job = Find(job_uid);
  if (job == nullptr) return;
  Suspend(job_uid, now + std::min(absl::Seconds(1) * (1 << std::min(job->refusals++, 5)), absl::Seconds(30)));
}

void JobTable::FireTimers(absl::Time now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const std::string uid = timers_.begin()->second;
    timers_.erase(timers_.begin());
    if (Job* const job = Find(uid)) job->timer = absl::InfiniteFuture();
    MarkDirty(uid);
  }
}

absl::Time JobTable::NextTimer() const { return timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first; }

}  // namespace riseml::scheduler
