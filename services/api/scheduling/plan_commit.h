// Commits the scheduler's plan: placements, evictions and the reasons why jobs wait.
#pragma once

#include <pqxx/pqxx>

#include "absl/status/status.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "services/api/data/attempt_tokens.h"

namespace riseml::api {

// Actor of the transitions that the scheduler asks for.
inline constexpr char kSchedulerActor[] = "scheduler";

// Checks the limits of SchedulingService.CommitPlan. Pure.
absl::Status CheckPlan(const internal::v1::CommitPlanRequest& request);

// Commits each group whole or not at all. Locks the roots of all jobs of the plan first, in one order. The request has
// passed CheckPlan, and the caller has checked its epoch.
internal::v1::CommitPlanResponse CommitWholePlan(pqxx::transaction_base& tx,
                                                 const internal::v1::CommitPlanRequest& request,
                                                 const AttemptTokens& tokens);

}  // namespace riseml::api
