// Collects the reasons why jobs wait, and records them in api.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "services/scheduler/controller/observations.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// Lives on one thread.
class Waits {
 public:
  Waits(const Shared& shared, Observations& observations) : shared_(shared), observations_(observations) {}

  // `reason` in UPPER_SNAKE, `message` for people.
  void Say(const std::string& uid, const std::string& reason, const std::string& message) {
    waits_[uid] = {reason, message};
  }
  // Each says why the job waits, and keeps it from being placed until it is looked at again.
  void ForEnvironment(const std::string& uid, Job& job, const std::string& building_job);
  // Ends the job if builder's error is final.
  void ForBuilder(const std::string& uid, Job& job, const absl::Status& status);
  void ForRetry(const std::string& uid, const Job& job);

  // Records new reasons at once, and new messages for the same reason at most every 5 s. False when the leadership is
  // lost.
  bool Send();

 private:
  std::vector<internal::v1::Wait> TakeChanged();

  const Shared& shared_;
  Observations& observations_;
  std::map<std::string, std::pair<std::string, std::string>> waits_;  // not recorded: reason and message by job
};

}  // namespace riseml::scheduler
