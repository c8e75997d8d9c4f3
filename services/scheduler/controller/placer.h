// Places waiting jobs: feeds the engine, commits its decisions, and passes on why others wait.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/scheduler/controller/nodes.h"
#include "services/scheduler/controller/observations.h"
#include "services/scheduler/controller/shared.h"
#include "services/scheduler/controller/waits.h"
#include "services/scheduler/engine/engine.h"

namespace riseml::scheduler {

// Lives on one thread.
class Placer {
 public:
  struct Parts {
    Nodes& nodes;
    Observations& observations;
    Waits& waits;
  };
  Placer(const Shared& shared, Parts parts) : shared_(shared), parts_(parts) {}

  // Tells the engine about a job that was looked at: whether it waits, and what its attempts hold.
  void Feed(const std::string& uid);
  // Tells the engine about nodes that have changed.
  void FeedNodes();
  // Decides, when something has changed, and commits the decisions. False when the leadership is lost.
  bool Place();

 private:
  void FeedHoldings(const std::string& uid, const Job* job);
  void FeedGang(const std::string& uid, const Job* job);
  void FeedJob(const std::string& uid, Job* job);

  bool CommitStarts(const std::vector<engine::Group>& starts);
  bool Prepare(const engine::Group& group, std::map<std::string, std::string>& claimed,
               internal::v1::PlacementGroup* placements);
  bool Commit(const internal::v1::CommitPlanRequest& request);
  void TakeResult(const internal::v1::Placement& placement, const internal::v1::PlacementResult& result);
  bool CommitEvictions(const std::vector<engine::Eviction>& evictions);
  void NoteWaits(const engine::Decisions& decisions);
  void SayWhy(const std::string& uid, Job& job);
  bool GiveUp(const std::string& uid, Job& job);
  void DecideAgain();

  const Shared& shared_;
  const Parts parts_;
  engine::Engine engine_;
  std::map<std::string, engine::Node> nodes_;              // as the engine knows them
  std::map<std::string, std::set<std::string>> holdings_;  // ids the engine knows, by job
  std::map<std::string, AttemptId> holders_;               // attempts by id of their holding
  std::map<std::string, std::string> left_behind_;         // gangs by member
  std::set<std::string> hopeless_;                         // jobs that no node can hold
  bool needed_ = false;
  int failed_commits_ = 0;
  absl::Time not_before_ = absl::InfinitePast();
};

}  // namespace riseml::scheduler
