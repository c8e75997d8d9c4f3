#include "services/scheduler/controller/nodes.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/log.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kNodesGrace = absl::Seconds(2);
constexpr absl::Duration kReportInterval = absl::Seconds(30);
constexpr absl::string_view kIsAgentRunning = "is riseml-agent running there?";

}  // namespace

std::vector<v1::Node> PresentNodes(const JobTable& jobs, const std::map<std::string, absl::Time>& last_heard,
                                   absl::Time now, absl::Duration silence_limit) {
  std::vector<v1::Node> nodes;
  for (const auto& [name, known] : jobs.nodes()) {
    v1::Node node = known.node;
    node.set_name(absl::StrCat("nodes/", name));
    const auto heard = last_heard.find(name);
    if (heard == last_heard.end() || heard->second == absl::InfinitePast()) {
      node.set_ready(false);
      node.set_message(absl::StrCat("has not reported yet; ", kIsAgentRunning));
    } else {
      node.mutable_update_time()->set_seconds(absl::ToUnixSeconds(heard->second));
      if (now - heard->second >= silence_limit) {
        node.set_ready(false);
        node.set_message(absl::StrCat("has been silent since ",
                                      absl::FormatTime(absl::RFC3339_sec, heard->second, absl::UTCTimeZone()), "; ",
                                      kIsAgentRunning));
      }
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

engine::Node EngineNode(const v1::Node& node) {
  engine::Node out;
  out.name = std::string(absl::StripPrefix(node.name(), "nodes/"));
  // Resources used by others than the platform are not given out.
  out.cpu_millis = std::max<std::int64_t>(0, std::llround(std::floor((node.cpus() - node.foreign_cpus()) * 1000)));
  out.memory_bytes = std::max<std::int64_t>(0, node.memory_bytes() - node.foreign_memory_bytes());
  std::vector<const v1::Gpu*> gpus;
  for (const v1::Gpu& gpu : node.gpus())
    if (!gpu.foreign()) gpus.push_back(&gpu);
  std::ranges::sort(gpus, [](const v1::Gpu* a, const v1::Gpu* b) {
    return std::pair(a->index(), a->uuid()) < std::pair(b->index(), b->uuid());
  });
  for (const v1::Gpu* gpu : gpus) out.gpu_uuids.push_back(gpu->uuid());
  out.labels = {node.labels().begin(), node.labels().end()};
  out.ready = node.ready() && !node.cordoned() && node.taints().empty();  // jobs tolerate nothing
  out.message = !node.message().empty()  ? node.message()
                : node.cordoned()        ? "it is cordoned"
                : !node.taints().empty() ? "it has taints"
                                         : "";
  return out;
}

void Nodes::Update() {
  last_heard_ = shared_.ports.cluster.LastHeard();
  std::erase_if(missing_since_, [&](const auto& entry) { return shared_.jobs.nodes().contains(entry.first); });
  const absl::Time now = shared_.Now();
  present_ = PresentNodes(shared_.jobs, last_heard_, now, shared_.options.node_silence_limit);
  for (const auto& [name, node] : shared_.jobs.nodes()) {
    const absl::Time silent_at = LastHeard(name) + shared_.options.node_silence_limit;
    const absl::Time lost_at = LostAt(name);
    if (now < silent_at) shared_.alarm.At(silent_at);
    if (now < lost_at) {
      shared_.alarm.At(lost_at);
      lost_at_.erase(name);
    } else if (lost_at_.emplace(name, lost_at).second) {
      LogWarning("node_lost", {{"node", name}, {"silent_for", absl::FormatDuration(shared_.options.node_lost_after)}});
      shared_.jobs.MarkJobsOn(name);
    }
  }
}

absl::Time Nodes::LastHeard(const std::string& node) const {
  const auto heard = last_heard_.find(node);
  return heard == last_heard_.end() ? absl::InfinitePast() : heard->second;
}

absl::Time Nodes::LostAt(const std::string& node) {
  const bool known = shared_.jobs.nodes().contains(node);
  const absl::Time heard = known ? LastHeard(node) : missing_since_.try_emplace(node, shared_.Now()).first->second;
  return std::max(heard, shared_.since) + shared_.options.node_lost_after;
}

bool Nodes::AreKnown() {
  const absl::Time known_at = shared_.since + std::min(kNodesGrace, shared_.options.node_silence_limit);
  if (shared_.Now() >= known_at || AllHeard()) return true;
  shared_.alarm.At(known_at);
  return false;
}

bool Nodes::AllHeard() const {
  return std::ranges::all_of(shared_.jobs.nodes(),
                             [&](const auto& node) { return LastHeard(node.first) != absl::InfinitePast(); });
}

bool Nodes::Report() {
  if ((present_.empty() && reported_.empty()) || !AreKnown()) return true;
  const absl::Time now = shared_.Now();
  internal::v1::ReportNodesRequest request;
  request.set_epoch(shared_.epoch);
  std::string content;
  for (const v1::Node& node : present_) {
    *request.add_nodes() = node;
    v1::Node timeless = node;
    timeless.clear_update_time();
    absl::StrAppend(&content, timeless.SerializeAsString(), "\n");
  }
  if (content == reported_ && now < report_at_) {
    shared_.alarm.At(report_at_);
    return true;
  }
  const absl::Status status = shared_.ports.api.ReportNodes(request);
  if (SaysOthersLead(status)) return false;
  if (!status.ok()) LogWarning("nodes_not_accepted", {{"error", status.message()}});
  reported_ = content;  // after an error, tries again in a second and not at every pass
  report_at_ = now + (status.ok() ? kReportInterval : absl::Seconds(1));
  shared_.alarm.At(report_at_);
  return true;
}

}  // namespace riseml::scheduler
