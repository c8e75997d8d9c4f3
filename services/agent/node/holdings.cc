#include "services/agent/node/holdings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "services/common/rpc/resources.h"

namespace riseml::agent {
namespace {

// Counts as the scheduler does: requests are rounded up, resources of a node are rounded down.
std::int64_t MillisAsked(double cpus) { return std::llround(std::ceil(cpus * 1000)); }

std::string Cpus(std::int64_t millis) { return absl::StrCat(static_cast<double>(millis) / 1000); }

}  // namespace

Holdings::Holdings(const v1::Node& node) : node_(node) {}

std::optional<std::string> Holdings::Take(const AttemptId& id, const internal::v1::StartAttemptRequest& start) {
  MutexLock lock(mu_);
  if (holdings_.contains(id)) return std::nullopt;
  if (auto why = WhyNotGpus(start)) return why;
  if (auto why = WhyNotAmounts(start)) return why;
  holdings_[id] = {start.resources(), {start.gpu_uuids().begin(), start.gpu_uuids().end()}};
  return std::nullopt;
}

void Holdings::Adopt(const AttemptId& id, const internal::v1::StartAttemptRequest& start) {
  MutexLock lock(mu_);
  holdings_[id] = {start.resources(), {start.gpu_uuids().begin(), start.gpu_uuids().end()}};
}

void Holdings::Release(const AttemptId& id) {
  MutexLock lock(mu_);
  holdings_.erase(id);
}

void Holdings::Show(const AttemptId& id, internal::v1::AttemptStatus* status) const {
  MutexLock lock(mu_);
  const auto it = holdings_.find(id);
  if (it == holdings_.end()) return;
  *status->mutable_resources() = it->second.resources;
  status->mutable_gpu_uuids()->Add(it->second.gpu_uuids.begin(), it->second.gpu_uuids.end());
}

std::optional<std::string> Holdings::WhyNotGpus(const internal::v1::StartAttemptRequest& start) const {
  for (const std::string& uuid : start.gpu_uuids()) {
    if (std::ranges::none_of(node_.gpus(), [&](const v1::Gpu& gpu) { return gpu.uuid() == uuid; }))
      return absl::StrCat("the node has no GPU ", uuid);
    for (const auto& [id, holding] : holdings_)
      if (std::ranges::find(holding.gpu_uuids, uuid) != holding.gpu_uuids.end())
        return absl::StrCat("GPU ", uuid, " is held by attempt ", id.attempt, " of job ", id.job_uid);
  }
  return std::nullopt;
}

std::optional<std::string> Holdings::WhyNotAmounts(const internal::v1::StartAttemptRequest& start) const {
  std::int64_t millis = static_cast<std::int64_t>(std::floor(node_.cpus() * 1000)), bytes = node_.memory_bytes();
  for (const auto& [id, holding] : holdings_) {
    millis -= MillisAsked(holding.resources.cpus());
    bytes -= MemoryBytes(holding.resources);
  }
  if (const std::int64_t asked = MillisAsked(start.resources().cpus()); asked > std::max<std::int64_t>(millis, 0))
    return absl::StrCat("needs ", Cpus(asked), " CPUs, ", Cpus(std::max<std::int64_t>(millis, 0)), " free");
  if (const std::int64_t asked = MemoryBytes(start.resources()); asked > std::max<std::int64_t>(bytes, 0))
    return absl::StrCat("needs ", asked / 1'000'000, " MB of memory, ", std::max<std::int64_t>(bytes, 0) / 1'000'000,
                        " free");
  return std::nullopt;
}

}  // namespace riseml::agent
