#include "services/scheduler/controller/snapshot_of.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace riseml::scheduler {
namespace {

engine::Amount AmountOf(const v1::Resources& resources) {
  // Rounded up: what was asked for is there.
  return {std::llround(std::ceil(resources.cpus() * 1000)), std::llround(std::ceil(resources.memory_mb() * 1e6)),
          resources.gpus()};
}

bool IsWholeGangCandidate(const State& state, const std::string& gang) {
  return std::ranges::all_of(state.Gang(gang), [&](const std::string& uid) {
    const auto member = state.jobs().find(uid);
    return member != state.jobs().end() && member->second.candidate;
  });
}

}  // namespace

std::vector<v1::Node> PresentNodes(const State& state, absl::Time now, absl::Duration silence_limit) {
  std::vector<v1::Node> nodes;
  for (const auto& [name, known] : state.nodes()) {
    v1::Node node = known.node;
    node.set_name(absl::StrCat("nodes/", name));
    if (known.last_heard == absl::InfinitePast()) {
      node.set_ready(false);
      node.set_message("has not reported yet; is riseml-agent running there?");
    } else if (now - known.last_heard >= silence_limit) {
      node.set_ready(false);
      node.set_message(absl::StrCat("has been silent since ",
                                    absl::FormatTime(absl::RFC3339_sec, known.last_heard, absl::UTCTimeZone()),
                                    "; is riseml-agent running there?"));
    }
    if (known.last_heard != absl::InfinitePast())
      node.mutable_update_time()->set_seconds(absl::ToUnixSeconds(known.last_heard));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

absl::Time NextSilence(const State& state, absl::Time now, absl::Duration silence_limit) {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, known] : state.nodes())
    if (now - known.last_heard < silence_limit) next = std::min(next, known.last_heard + silence_limit);
  return next;
}

std::vector<engine::Node> EngineNodes(const std::vector<v1::Node>& nodes) {
  std::vector<engine::Node> out;
  for (const v1::Node& node : nodes) {
    engine::Node& added = out.emplace_back();
    added.name = std::string(absl::StripPrefix(node.name(), "nodes/"));
    added.cpu_millis = std::llround(std::floor(node.cpus() * 1000));
    added.memory_bytes = node.memory_bytes();
    std::vector<const v1::Gpu*> gpus;
    for (const v1::Gpu& gpu : node.gpus()) gpus.push_back(&gpu);
    std::ranges::sort(gpus, [](const v1::Gpu* a, const v1::Gpu* b) {
      return std::pair(a->index(), a->uuid()) < std::pair(b->index(), b->uuid());
    });
    for (const v1::Gpu* gpu : gpus) added.gpu_uuids.push_back(gpu->uuid());
    added.labels = {node.labels().begin(), node.labels().end()};
    added.ready = node.ready() && node.taints().empty();  // jobs tolerate nothing
    added.message = !node.message().empty() ? node.message() : node.taints().empty() ? "" : "it has taints";
  }
  return out;
}

engine::Snapshot SnapshotOf(const State& state, std::vector<engine::Node> nodes) {
  engine::Snapshot snapshot;
  snapshot.nodes = std::move(nodes);
  for (const std::string& uid : state.live()) {
    const Job& job = state.jobs().at(uid);
    const internal::v1::LiveAttempt* const live = job.Live();
    if (live == nullptr) continue;
    snapshot.running.push_back(
        {live->node(), AmountOf(job.work.resources()), {live->gpu_uuids().begin(), live->gpu_uuids().end()}});
  }
  // What still runs holds what it has, wanted or not.
  for (const std::string& uid : state.stray())
    for (const AttemptOnNode* attempt : state.jobs().at(uid).Strays())
      snapshot.running.push_back({attempt->node,
                                  AmountOf(attempt->status.resources()),
                                  {attempt->status.gpu_uuids().begin(), attempt->status.gpu_uuids().end()}});
  std::map<engine::Shape, int> shapes;
  const auto index_of = [&](engine::Shape shape) {
    const auto [it, is_new] = shapes.emplace(std::move(shape), static_cast<int>(shapes.size()));
    if (is_new) snapshot.shapes.push_back(it->first);
    return it->second;
  };
  for (const auto& [uid, job] : state.jobs()) {
    if (!job.candidate || !IsWholeGangCandidate(state, job.work.gang())) continue;
    const std::map<std::string, std::string> selectors(job.work.node_selectors().begin(),
                                                       job.work.node_selectors().end());
    const std::set<std::string> avoided(job.work.avoided_nodes().begin(), job.work.avoided_nodes().end());
    engine::PendingJob pending{uid, job.work.gang(), job.work.priority(), job.work.sequence(),
                               index_of({AmountOf(job.work.resources()), selectors, avoided})};
    if (job.work.has_next_resources()) pending.next_shape = index_of({AmountOf(job.work.next_resources()), selectors});
    snapshot.pending.push_back(std::move(pending));
  }
  return snapshot;
}

}  // namespace riseml::scheduler
