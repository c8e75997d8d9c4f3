// Shows an experiment from its start to its end.
#pragma once

#include "absl/status/statusor.h"
#include "cli/session.h"
#include "riseml/v1/experiment.pb.h"

namespace riseml::cli {

// Shows the phases (on a terminal), the log and the result of an experiment or set that was just created. Returns the
// exit code: 0 finished, 1 failed, 3 killed, or that of an interrupt when the user leaves before the end.
absl::StatusOr<int> FollowToTheEnd(Session& session, Connection& connection, const v1::Experiment& experiment);

}  // namespace riseml::cli
