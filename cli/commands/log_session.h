// Shows the log of an experiment or job together with its states until it ends, is all shown, or the user leaves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/client/experiment_state.h"
#include "cli/client/live.h"
#include "cli/session.h"

namespace riseml::cli {

struct LogRequest {
  std::string experiment;  // resource name
  std::string job;         // resource name; empty: all jobs of the experiment
  std::optional<std::int64_t> tail_lines;
  std::int64_t from_offset = 0;
  bool no_follow = false;
  bool raw = false;  // the bytes and nothing else; needs a job
  bool color = true;
  bool timestamps = false;
};

enum class LogShown {
  kAll,
  kDamaged,  // all but the unreadable parts of damaged logs; an error line has named each
  kLeft,     // the user left before the end
};

// Shows what was asked for. `live` must be watching the experiment already, unless `raw`; `state` holds what it has
// reported so far.
absl::StatusOr<LogShown> ShowLog(Session& session, Connection& connection, Live& live, const LogRequest& request,
                                 ExperimentState& state);

// Says that the experiment or job goes on, and how to come back to it.
void TellDetached(Session& session, const std::string& resource);

}  // namespace riseml::cli
