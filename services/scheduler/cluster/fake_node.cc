#include "services/scheduler/cluster/fake_node.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::scheduler {

using internal::v1::AttemptStatus;
using internal::v1::Observation;

void FakeNode::SetListener(Listener changed) {
  MutexLock lock(mu_);
  changed_ = std::move(changed);
}

void FakeNode::Change(const AttemptId& key, const std::function<void(AttemptStatus&)>& change) {
  AttemptStatus status;
  Listener changed;
  {
    MutexLock lock(mu_);
    AttemptStatus& stored = attempts_[key];
    stored.set_job_uid(key.job_uid);
    stored.set_attempt(key.attempt);
    change(stored);
    if (stored.phase() == AttemptStatus::ENDED) {
      stored.clear_resources();
      stored.clear_gpu_uuids();
    }
    status = stored;
    changed = changed_;
  }
  if (changed) changed(status);
}

absl::Status FakeNode::Pass(std::int64_t epoch) {
  if (epoch < epoch_) return Error(Reason::kNotLeader, "another leader has called this node");
  epoch_ = epoch;
  return absl::OkStatus();
}

absl::Status FakeNode::Start(const internal::v1::StartAttemptRequest& request) {
  const AttemptId key{request.job_uid(), request.attempt()};
  bool rejected = false;
  {
    MutexLock lock(mu_);
    RISEML_RETURN_IF_ERROR(Pass(request.epoch()));
    const auto newer = attempts_.upper_bound(key);
    if (newer != attempts_.end() && newer->first.job_uid == key.job_uid)
      return absl::FailedPreconditionError("a newer attempt is known");
    if (attempts_.contains(key)) return absl::OkStatus();
    rejected = full_;
    if (!rejected) ++starts_[key];
    requests_[key] = request;
  }
  Change(key, [&](AttemptStatus& status) {
    status.set_phase(rejected ? AttemptStatus::ENDED : AttemptStatus::PREPARING);
    status.set_object_uid(absl::StrCat(key.job_uid, "@", key.attempt));
    if (!rejected) {
      *status.mutable_resources() = request.resources();
      *status.mutable_gpu_uuids() = request.gpu_uuids();
      return;
    }
    status.set_end(Observation::REJECTED);
    status.set_reason("DOES_NOT_FIT");
    status.set_message("GPU-0 is held by another attempt");
  });
  return absl::OkStatus();
}

absl::Status FakeNode::Stop(const AttemptId& key, std::int64_t epoch) {
  {
    MutexLock lock(mu_);
    RISEML_RETURN_IF_ERROR(Pass(epoch));
    ++stops_[key];
  }
  Change(key, [](AttemptStatus& status) {
    if (status.phase() == AttemptStatus::ENDED) return;
    status.set_phase(AttemptStatus::ENDED);
    status.set_end(Observation::STOPPED);
    status.set_reason("STOPPED");
  });
  return absl::OkStatus();
}

absl::Status FakeNode::Forget(const std::vector<AttemptId>& keys, std::int64_t epoch) {
  MutexLock lock(mu_);
  RISEML_RETURN_IF_ERROR(Pass(epoch));
  for (const AttemptId& key : keys) {
    const auto it = attempts_.find(key);
    if (it != attempts_.end() && it->second.phase() == AttemptStatus::ENDED) attempts_.erase(it);
  }
  return absl::OkStatus();
}

std::vector<AttemptStatus> FakeNode::List() const {
  MutexLock lock(mu_);
  std::vector<AttemptStatus> all;
  for (const auto& [key, status] : attempts_) all.push_back(status);
  return all;
}

void FakeNode::Run(const AttemptId& key) {
  Change(key, [](AttemptStatus& status) {
    status.set_phase(AttemptStatus::RUNNING);
    status.mutable_start_time()->set_seconds(1'700'000'001);
  });
}

void FakeNode::Exit(const AttemptId& key, int exit_code) {
  Change(key, [&](AttemptStatus& status) {
    status.set_phase(AttemptStatus::ENDED);
    status.mutable_start_time()->set_seconds(1'700'000'001);
    status.mutable_end_time()->set_seconds(1'700'000'002);
    status.set_end(Observation::EXITED);
    status.set_exit_code(exit_code);
    status.set_exit_class(exit_code == 0 ? v1::Attempt::SUCCESS : v1::Attempt::USER_ERROR);
  });
}

void FakeNode::Leave(const AttemptId& key, std::int64_t bytes) {
  Change(key, [&](AttemptStatus& status) { status.mutable_output()->set_bytes(bytes); });
}

void FakeNode::Drift(const AttemptId& key, const std::string& drift) {
  Change(key, [&](AttemptStatus& status) { status.set_drift(drift); });
}

void FakeNode::SetFull(bool full) {
  MutexLock lock(mu_);
  full_ = full;
}

void FakeNode::Wipe() {
  MutexLock lock(mu_);
  attempts_.clear();
}

int FakeNode::starts(const AttemptId& key) const {
  MutexLock lock(mu_);
  const auto it = starts_.find(key);
  return it == starts_.end() ? 0 : it->second;
}

int FakeNode::stops(const AttemptId& key) const {
  MutexLock lock(mu_);
  const auto it = stops_.find(key);
  return it == stops_.end() ? 0 : it->second;
}

int FakeNode::total_starts() const {
  MutexLock lock(mu_);
  int total = 0;
  for (const auto& [key, count] : starts_) total += count;
  return total;
}

internal::v1::StartAttemptRequest FakeNode::request(const AttemptId& key) const {
  MutexLock lock(mu_);
  const auto it = requests_.find(key);
  return it == requests_.end() ? internal::v1::StartAttemptRequest() : it->second;
}

}  // namespace riseml::scheduler
