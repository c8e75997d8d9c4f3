// Computes the messages of the four kinds of watch streams: experiments for users, work for the scheduler, log
// streams for loghandler, changes of users for gitsync and loghandler.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/access.pb.h"
#include "riseml/internal/v1/log_registry.pb.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "services/api/data/attempt_tokens.h"
#include "services/api/data/database.h"
#include "services/api/data/views.h"
#include "services/api/user/authenticator.h"
#include "services/api/watch/watch.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Returns the current identity of the caller of an open call, or the error with which the call ends.
using Recheck = std::function<absl::StatusOr<internal::v1::Caller>(const rpc::Call&)>;

// Each returns the function that fills a Watch; the objects it refers to outlive the stream.
Watch<v1::WatchExperimentResponse>::Fill ExperimentWatcher(Database& db, Recheck recheck, const ViewOptions& options,
                                                           const rpc::Call& call,
                                                           const v1::WatchExperimentRequest& request);
Watch<internal::v1::WatchWorkResponse>::Fill WorkWatcher(Database& db, const AttemptTokens& tokens,
                                                         const internal::v1::WatchWorkRequest& request);
Watch<internal::v1::WatchStreamsResponse>::Fill StreamWatcher(Database& db,
                                                              const internal::v1::WatchStreamsRequest& request);

Watch<internal::v1::WatchAccessResponse>::Fill AccessWatcher(WatchCache& feed, Authenticator& authenticator);

}  // namespace riseml::api
