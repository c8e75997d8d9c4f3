// Changes states in the database: applies the tables of states.h to rows, with history and feed, inside the caller's
// transaction.
//
// Every caller locks the root (experiment or set) first, so that nothing below it can change meanwhile.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/api/data/states.h"

namespace riseml::api {

// Reason and author of a state change.
struct Cause {
  std::string reason;   // UPPER_SNAKE
  std::string message;  // for people
  std::optional<int> exit_code;
  std::optional<std::int64_t> time;  // when it happened, microseconds since 1970; absent: now
  std::string actor;                 // a user's name, "scheduler" or "api"
};

struct JobRow {
  std::string uid, experiment_uid, root_uid, role, name;
  std::string object;  // short id, e.g. "14.3.train"
  JobState state = JobState::kCreated;
  bool kill_wanted = false;
  std::string killed_by;  // a user's name; empty: nobody
  int attempt_count = 0;
  bool is_build() const { return role == "build"; }
};

// Returns false if the root has been deleted; rows of it that were read before the lock are then gone.
[[nodiscard]] bool LockRoot(pqxx::transaction_base& tx, const std::string& root_uid);

// Absent when there is no such job.
std::optional<JobRow> ReadJob(pqxx::transaction_base& tx, const std::string& job_uid);

// Moves a job along the table and settles everything that follows: environment, released or abandoned jobs, the
// experiment, its set. Returns false and changes nothing if the table has no such edge.
bool MoveJob(pqxx::transaction_base& tx, JobRow& job, JobEvent event, const Cause& cause);

// Derives the state of a set anew and releases children whose turn has come.
void SettleSet(pqxx::transaction_base& tx, const std::string& root_uid);

// Range of experiments below a root by child number, both ends included; 0 is the root itself.
struct ChildRange {
  std::int64_t first = 0;
  std::int64_t last = std::numeric_limits<std::int32_t>::max();
};

// Marks experiments for killing; their jobs without a live attempt become KILLED at once.
void Kill(pqxx::transaction_base& tx, const std::string& root_uid, const ChildRange& range, const std::string& actor);

}  // namespace riseml::api
