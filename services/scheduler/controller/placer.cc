#include "services/scheduler/controller/placer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/names.h"
#include "services/common/rpc/resources.h"
#include "services/scheduler/controller/environment_users.h"

namespace riseml::scheduler {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::Environment;
using internal::v1::LiveAttempt;
using internal::v1::Work;

constexpr int kMaxPlacements = 500;         // per call; a gang alone may exceed it, up to the 1,000 that api takes
constexpr std::size_t kMaxEvictions = 500;  // per call

engine::Amount AmountOf(const v1::Resources& resources) {
  // Rounds up, so that a job gets at least what it asked for.
  return {std::llround(std::ceil(resources.cpus() * 1000)), MemoryBytes(resources), resources.gpus()};
}

std::string HoldingId(const std::string& uid, int attempt) { return absl::StrCat(uid, "/", attempt); }

// Returns the holdings of a job's attempts: its live one, and all others that still run.
std::vector<std::pair<AttemptId, engine::Holding>> HoldingsOf(const std::string& uid, const Job& job) {
  std::vector<std::pair<AttemptId, engine::Holding>> holdings;
  if (const LiveAttempt* live = job.Live()) {
    holdings.push_back({{uid, live->number()},
                        {HoldingId(uid, live->number()),
                         live->node(),
                         AmountOf(job.work.resources()),
                         {live->gpu_uuids().begin(), live->gpu_uuids().end()},
                         job.work.gang(),
                         live->evicted(),
                         job.work.user_uid()}});
  }
  for (const AttemptOnNode* stray : job.Strays()) {
    const internal::v1::AttemptStatus& status = stray->status;
    holdings.push_back({{uid, status.attempt()},
                        {HoldingId(uid, status.attempt()),
                         stray->node,
                         AmountOf(status.resources()),
                         {status.gpu_uuids().begin(), status.gpu_uuids().end()},
                         "",
                         false,
                         job.work.user_uid()}});
  }
  return holdings;
}

engine::Job EngineJob(const std::string& uid, const Work& work, int gang_size) {
  engine::Job job{.id = uid, .gang = work.gang(), .gang_size = gang_size, .priority = work.priority()};
  job.sequence = work.sequence();
  job.user = work.user_uid();
  job.shape.amount = AmountOf(work.resources());
  job.shape.selectors = {work.node_selectors().begin(), work.node_selectors().end()};
  if (work.has_next_resources()) job.next = engine::Shape{AmountOf(work.next_resources()), job.shape.selectors};
  job.shape.avoided = {work.avoided_nodes().begin(), work.avoided_nodes().end()};
  return job;
}

absl::string_view AdviceFor(engine::WaitReason reason) {
  return reason == engine::WaitReason::kNoMatchingNode ? "change 'node_selector:' or have a node labelled"
                                                       : "ask for less under 'resources:'";
}

std::string ShortName(const std::string& job) {
  const auto name = ParseJobName(job);
  return name.ok() ? ShortId(*name) : job;
}

}  // namespace

void Placer::Feed(const std::string& uid) {
  Job* const job = shared_.jobs.Find(uid);
  FeedHoldings(uid, job);
  FeedGang(uid, job);
  FeedJob(uid, job);
  needed_ = true;
}

void Placer::FeedHoldings(const std::string& uid, const Job* job) {
  std::set<std::string> ids;
  if (job != nullptr) {
    for (auto& [key, holding] : HoldingsOf(uid, *job)) {
      ids.insert(holding.id);
      holders_[holding.id] = key;
      engine_.Upsert(holding);
    }
  }
  const auto known = holdings_.find(uid);
  if (known != holdings_.end()) {
    for (const std::string& id : known->second) {
      if (ids.contains(id)) continue;
      engine_.RemoveHolding(id);
      holders_.erase(id);
    }
    holdings_.erase(known);
  }
  if (!ids.empty()) holdings_.emplace(uid, std::move(ids));
}

void Placer::FeedGang(const std::string& uid, const Job* job) {
  if (job != nullptr && job->left_behind) {
    engine_.LeaveBehind(job->work.gang(), uid);
    left_behind_[uid] = job->work.gang();
    return;
  }
  const auto known = left_behind_.find(uid);
  if (known == left_behind_.end()) return;
  engine_.CatchUp(known->second, uid);
  left_behind_.erase(known);
}

void Placer::FeedJob(const std::string& uid, Job* job) {
  if (job == nullptr || !job->candidate) {
    engine_.RemoveJob(uid);
    hopeless_.erase(uid);
    if (job != nullptr) job->verdict = nullptr;
    return;
  }
  const int members = static_cast<int>(shared_.jobs.Gang(job->work.gang()).size());
  engine_.Upsert(EngineJob(uid, job->work, std::max(members, 1)));
  if (job->verdict != nullptr) SayWhy(uid, *job);  // the engine says it once; it may have been lost on its way to api
}

void Placer::FeedNodes() {
  std::map<std::string, engine::Node> nodes;
  for (const v1::Node& node : parts_.nodes.present()) {
    engine::Node present = EngineNode(node);
    std::string name = present.name;
    nodes.emplace(std::move(name), std::move(present));
  }
  if (nodes == nodes_) return;
  for (const auto& [name, node] : nodes_)
    if (!nodes.contains(name)) engine_.RemoveNode(name);
  for (const auto& [name, node] : nodes) {
    const auto known = nodes_.find(name);
    if (known == nodes_.end() || known->second != node) engine_.Upsert(node);
  }
  nodes_ = std::move(nodes);
  needed_ = true;
}

bool Placer::Place() {
  if (!needed_ || !parts_.nodes.AreKnown()) return true;
  if (shared_.Now() < not_before_) {
    shared_.alarm.At(not_before_);
    return true;
  }
  needed_ = false;
  const engine::Decisions decisions = engine_.Decide();
  NoteWaits(decisions);
  return CommitStarts(decisions.starts) && CommitEvictions(decisions.evictions);
}

void Placer::DecideAgain() {
  needed_ = true;
  shared_.alarm.At(shared_.Now());
}

// Commits whole groups, 500 placements per call.
bool Placer::CommitStarts(const std::vector<engine::Group>& starts) {
  std::map<std::string, std::string> claimed;  // name of the job by key of the environment it makes
  CommitPlanRequest request;
  request.set_epoch(shared_.epoch);
  int placements = 0;
  for (const engine::Group& group : starts) {
    internal::v1::PlacementGroup prepared;
    if (!Prepare(group, claimed, &prepared)) continue;
    if (placements > 0 && placements + prepared.placements_size() > kMaxPlacements) {
      if (!Commit(request)) return false;
      request.clear_groups();
      placements = 0;
    }
    placements += prepared.placements_size();
    *request.add_groups() = std::move(prepared);
  }
  return request.groups().empty() || Commit(request);
}

// Returns false if a member's environment is not available now. While builder is being asked, the group keeps its place
// in the order. Otherwise it steps back, and its resources are free for others.
bool Placer::Prepare(const engine::Group& group, std::map<std::string, std::string>& claimed,
                     internal::v1::PlacementGroup* placements) {
  for (const engine::Binding& binding : group) {
    const std::string& uid = binding.job;
    Job& job = *shared_.jobs.Find(uid);
    const auto answer = shared_.environments.Resolve(uid, job.work);
    if (!answer) return false;
    const auto step_back = [&] {
      FeedJob(uid, &job);
      DecideAgain();
      return false;
    };
    const absl::StatusOr<Environment>& environment = *answer;
    if (!environment.ok()) {
      parts_.waits.ForBuilder(uid, job, environment.status());
      return step_back();
    }
    internal::v1::Placement& placement = *placements->add_placements();
    placement.set_job_uid(uid);
    placement.set_node(binding.node);
    for (const std::string& gpu : binding.gpu_uuids) placement.add_gpu_uuids(gpu);
    if (environment->state() != Environment::NOT_NEEDED) *placement.mutable_environment() = RecordOf(*environment);
    if (!job.is_build() && environment->state() != Environment::NOT_NEEDED) {
      placement.set_uses_environment(environment->key());
      placement.set_makes_environment(environment->state() == Environment::MISSING);
    }
    if (environment->state() != Environment::MISSING) continue;
    // A training job's environment has vanished since its build; the attempt makes it again before its commands run.
    const auto claim = claimed.find(environment->key());
    const std::string user = claim == claimed.end() ? UserOf(shared_, environment->key(), uid) : claim->second;
    if (!user.empty()) {
      parts_.waits.ForEnvironment(uid, job, user);
      return step_back();
    }
    claimed.emplace(environment->key(), job.work.job());
    if (job.is_build()) placement.set_environment_key(environment->key());
  }
  return true;
}

bool Placer::Commit(const CommitPlanRequest& request) {
  const auto response = shared_.ports.api.CommitPlan(request);
  if (SaysOthersLead(response.status())) return false;
  if (!response.ok()) {
    LogWarning("plan_not_committed", {{"groups", request.groups_size()}, {"error", response.status().message()}});
    // The watch of the work shows whether the plan was committed; api refuses to place a job twice.
    not_before_ = shared_.Now() + Backoff(failed_commits_++, absl::Milliseconds(100), absl::Seconds(5));
    needed_ = true;
    shared_.alarm.At(not_before_);
    return true;
  }
  failed_commits_ = 0;
  for (int i = 0; i < std::min(response->groups_size(), request.groups_size()); ++i) {
    const auto& placements = request.groups(i).placements();
    const auto& results = response->groups(i).results();
    for (int j = 0; j < std::min(placements.size(), results.size()); ++j) TakeResult(placements[j], results[j]);
  }
  return true;
}

void Placer::TakeResult(const internal::v1::Placement& placement, const internal::v1::PlacementResult& result) {
  const std::string& uid = placement.job_uid();
  const bool placed = result.attempt() > 0;
  shared_.ports.metrics.placements.Add({{"outcome", placed ? "placed" : "refused"}}).Increment();
  Job* const job = shared_.jobs.Find(uid);
  if (job == nullptr) return;
  if (placed) {
    LiveAttempt attempt;
    attempt.set_number(result.attempt());
    attempt.set_node(placement.node());
    attempt.set_state(v1::Attempt::STARTING);
    *attempt.mutable_gpu_uuids() = placement.gpu_uuids();
    attempt.set_token(result.token());
    job->blocked_by.clear();
    LogInfo("job_placed", {{"job", job->work.job()}, {"attempt", result.attempt()}, {"node", placement.node()}});
    shared_.jobs.Commit(uid, std::move(attempt));
    return;
  }
  if (result.refusal() == internal::v1::PlacementResult::ENVIRONMENT_BUSY) {
    parts_.waits.ForEnvironment(uid, *job, result.building_job());
  } else {
    LogInfo("placement_refused", {{"job", job->work.job()}, {"why", result.message()}});
    shared_.jobs.PlaceLater(uid, shared_.Now());
  }
  FeedJob(uid, job);
  DecideAgain();
}

bool Placer::CommitEvictions(const std::vector<engine::Eviction>& evictions) {
  for (std::size_t begin = 0; begin < evictions.size(); begin += kMaxEvictions) {
    CommitPlanRequest request;
    request.set_epoch(shared_.epoch);
    const std::size_t end = std::min(evictions.size(), begin + kMaxEvictions);
    for (std::size_t i = begin; i < end; ++i) {
      const AttemptId& key = holders_.at(evictions[i].holding);
      const Job* const left_behind = shared_.jobs.Find(evictions[i].left_behind);
      internal::v1::Eviction& eviction = *request.add_evictions();
      eviction.set_job_uid(key.job_uid);
      eviction.set_attempt(key.attempt);
      eviction.set_reason("GANG_INCOMPLETE");
      eviction.set_message(absl::StrCat(left_behind == nullptr ? "a member" : ShortName(left_behind->work.job()),
                                        " of its group has to wait again, and all start together"));
    }
    const auto response = shared_.ports.api.CommitPlan(request);
    if (SaysOthersLead(response.status())) return false;
    if (!response.ok())
      LogWarning("evictions_not_committed",
                 {{"evictions", request.evictions_size()}, {"error", response.status().message()}});
  }
  return true;
}

void Placer::NoteWaits(const engine::Decisions& decisions) {
  for (const engine::Wait& wait : decisions.waits) {
    Job& job = *shared_.jobs.Find(wait.job);
    job.verdict = wait.why;
    if (engine::IsHopeless(wait.why->reason)) {
      hopeless_.insert(wait.job);
    } else {
      hopeless_.erase(wait.job);
      job.hopeless_since = absl::InfiniteFuture();
    }
    SayWhy(wait.job, job);
  }
  // Also rechecks jobs told before, as all nodes may have been heard meanwhile.
  const std::set<std::string> hopeless = hopeless_;
  for (const std::string& uid : hopeless) GiveUp(uid, *shared_.jobs.Find(uid));
  for (std::size_t i = 0; i < decisions.waiting.size(); ++i)
    shared_.ports.metrics.queue_depth.Add({{"reason", std::string(engine::kWaitReasonNames[i])}})
        .Set(static_cast<double>(decisions.waiting[i]));
}

void Placer::SayWhy(const std::string& uid, Job& job) {
  if (!GiveUp(uid, job)) parts_.waits.Say(uid, std::string(engine::Name(job.verdict->reason)), job.verdict->message);
}

// Reports a job as impossible once no node could hold it for long enough. Nothing is final before every node has been
// heard.
bool Placer::GiveUp(const std::string& uid, Job& job) {
  if (!engine::IsHopeless(job.verdict->reason) || !parts_.nodes.AllHeard() || job.work.state() != v1::Job::PENDING)
    return false;
  job.hopeless_since = std::min(job.hopeless_since, shared_.Now());
  const absl::Time end = job.hopeless_since + shared_.options.impossible_after;
  if (shared_.Now() < end) {
    shared_.jobs.Later(uid, end);
    return false;
  }
  parts_.observations.Add(job, {Impossible(uid, engine::Name(job.verdict->reason),
                                           absl::StrCat(job.verdict->message, "; ", AdviceFor(job.verdict->reason)))});
  return true;
}

}  // namespace riseml::scheduler
