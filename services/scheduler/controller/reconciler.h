// Reconciles running attempts with the desired state recorded in api.
//
// Level-triggered: an event only says which job to look at. Each look compares what api has recorded with what the
// nodes say and takes the step that follows (step.h).
#pragma once

#include <string>

#include "services/scheduler/controller/node_calls.h"
#include "services/scheduler/controller/nodes.h"
#include "services/scheduler/controller/observations.h"
#include "services/scheduler/controller/shared.h"
#include "services/scheduler/controller/waits.h"

namespace riseml::scheduler {

// Lives on one thread.
class Reconciler {
 public:
  struct Parts {
    Nodes& nodes;
    NodeCalls& calls;
    Observations& observations;
    Waits& waits;
  };
  Reconciler(const Shared& shared, Parts parts) : shared_(shared), parts_(parts) {}

  // Looks at a job. Also decides whether the job is a candidate for a place.
  void Sync(const std::string& uid);
  // Ends the waiting builds of an environment of which a build has failed: they would fail too.
  void ShareFailures();

 private:
  void SyncAttempt(const std::string& uid, Job& job, const internal::v1::LiveAttempt& live);
  void SyncStrayAttempts(const std::string& uid, Job& job);
  void SyncWaiting(const std::string& uid, Job& job);
  void SyncBuild(const std::string& uid, Job& job);
  void NoteLeftBehind(const std::string& uid, Job& job);
  bool IsGangCommitted(const Job& job) const;
  bool StillRuns(const std::string& uid, const Job& job);
  OnNode View(const std::string& uid, const Job& job, const internal::v1::LiveAttempt& live);
  internal::v1::Observation LostObservation(const std::string& uid, const internal::v1::LiveAttempt& live) const;
  void Start(const std::string& uid, Job& job, const internal::v1::LiveAttempt& live);
  void Stop(const std::string& uid, Job& job, int attempt, const std::string& node);
  GangRequest GangOf(const Job& job) const;

  const Shared& shared_;
  const Parts parts_;
};

}  // namespace riseml::scheduler
