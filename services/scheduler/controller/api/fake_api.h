// In-memory Api for tests: keeps jobs and attempts by the rules of SchedulingService.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/scheduler/controller/api/api.h"

namespace riseml::scheduler {

// Lives on one thread.
class FakeApi final : public Api {
 public:
  // A job with its defaults: 1 CPU, 1 GB, role "train", state PENDING, sequence in the order of creation.
  internal::v1::Work& Add(const std::string& uid, const std::function<void(internal::v1::Work&)>& change = {});
  void Change(const std::string& uid, const std::function<void(internal::v1::Work&)>& change);
  // Has the effect of a user's kill.
  void Kill(const std::string& uid);
  // Somebody else takes the leadership.
  void Usurp() { ++epoch_; }
  // The watch breaks and begins again from the start, as after RESUME_TOKEN_EXPIRED.
  void Relist();
  // Sends a job again although it has not changed.
  void SendAgain(const std::string& uid) { Send(uid); }

  const internal::v1::Work& work(const std::string& uid) const { return jobs_.at(uid); }
  // "FINISHED 2" for the second attempt of a job.
  std::string Outcome(const std::string& uid) const;
  const std::vector<internal::v1::Observation>& observations() const { return observations_; }
  // The last placement of each job that was accepted.
  const std::map<std::string, internal::v1::Placement>& placements() const { return placements_; }
  const std::vector<v1::Node>& nodes() const { return nodes_; }
  int calls() const { return calls_; }

  // Called before and after a call takes effect. An error of `before` is a lost request, of `after` a lost reply.
  std::function<absl::Status(const std::string& call)> before = [](const std::string&) { return absl::OkStatus(); };
  std::function<absl::Status(const std::string& call)> after = [](const std::string&) { return absl::OkStatus(); };
  // While false, the watch delivers nothing.
  bool deliver = true;

  absl::StatusOr<std::int64_t> AcquireLeadership(const std::string& holder, absl::Duration lease,
                                                 std::int64_t epoch) override;
  absl::StatusOr<internal::v1::CommitPlanResponse> CommitPlan(const internal::v1::CommitPlanRequest& request) override;
  absl::Status ReportObservations(const internal::v1::ReportObservationsRequest& request) override;
  absl::Status ReportNodes(const internal::v1::ReportNodesRequest& request) override;
  absl::StatusOr<internal::v1::JobTemplate> GetTemplate(const std::string& job_uid) override;
  void RestartWatch() override;
  std::optional<WorkBatch> TakeWork() override;
  void SetWake(std::function<void()> wake) override { wake_ = std::move(wake); }

 private:
  absl::Status CheckEpoch(std::int64_t epoch) const;
  void Send(const std::string& uid);
  internal::v1::GroupResult PlaceGroup(const internal::v1::PlacementGroup& group);
  // Returns a result with the reason for refusing the placement, or without one.
  internal::v1::PlacementResult RefusalOf(const internal::v1::Placement& placement) const;
  internal::v1::PlacementResult Place(const internal::v1::Placement& placement);
  void Derive(const internal::v1::Observation& observation);
  absl::Status Call(const std::string& call, const std::function<absl::Status()>& body);

  std::map<std::string, internal::v1::Work> jobs_;
  std::map<std::string, int> attempts_;        // number of attempts made
  std::map<std::string, std::string> builds_;  // job uid by environment key, while the attempt is live
  std::vector<internal::v1::Observation> observations_;
  std::map<std::string, internal::v1::Placement> placements_;
  std::vector<v1::Node> nodes_;
  std::deque<WorkBatch> batches_;
  std::function<void()> wake_;
  std::string holder_;
  std::int64_t epoch_ = 0;
  std::int64_t sequence_ = 0;
  int calls_ = 0;
  bool watched_ = false;
};

}  // namespace riseml::scheduler
