// Interleaves state changes and wait reasons with log lines. Reports each change once, and the end of a job after its
// last line. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cli/client/experiment_state.h"

namespace riseml::cli {

// Lines that are printed with the prefix of one experiment or job.
struct StateLine {
  std::string name;                // resource name
  std::vector<std::string> lines;  // "--> FINISHED", "Reason: …", "Message: …", "Exit Code: …"
  std::optional<absl::Time> time;  // when the state began, where that is known
  bool operator==(const StateLine&) const = default;
};

// Returns how attempt `number` of a job ended if another one followed it; nothing otherwise. `job` has all its
// attempts.
std::optional<StateLine> EarlierAttempt(const v1::Job& job, int number);

class StateLines {
 public:
  // Returns the lines for what is new in the state. Reports the end of a job that has printed after the end of its log,
  // and the end of an experiment after those of its jobs, unless the watch ended without them.
  std::vector<StateLine> Update(const ExperimentState& state);

  // The log of an attempt has ended.
  void OnLogEnd(const std::string& job_uid, int attempt) { ended_logs_.insert({job_uid, attempt}); }

  // No more log will be read.
  void OnFollowEnd() { follow_over_ = true; }

 private:
  bool LogIsOver(const v1::Job& job) const;

  std::map<std::string, std::string> told_;  // lines last told, by resource name
  std::set<std::pair<std::string, int>> ended_logs_;
  bool follow_over_ = false;
};

}  // namespace riseml::cli
