// Periodic maintenance of the database: removes rows that nobody can ask for any more, seals the audit log and drops
// its old months.
#pragma once

#include <pqxx/pqxx>
#include <stop_token>

#include "absl/status/status.h"
#include "services/api/data/database.h"

namespace riseml::api {

// Minimum time for which rows are kept.
inline constexpr int kFeedHours = 2;        // resume tokens of watches that are older are refused
inline constexpr int kRequestHours = 48;    // a request_id that is older makes something new
inline constexpr int kTransitionDays = 90;  // after the end of the experiment or set

// Removes changes from the feed that are older than kFeedHours, requests older than kRequestHours, and at most 20,000
// transitions of experiments and sets that ended more than kTransitionDays ago. Returns false when transitions are
// left. These rows hold no state that users see; the history is only read to list it.
bool Prune(pqxx::transaction_base& tx);

// Makes the partitions of the audit log; without them nothing can be written.
absl::Status PrepareAuditMonths(Database& db);

// Resumes kills and seals the audit log every 5 minutes, and prunes every hour, until stopped. Logs failures and tries
// again.
void KeepUp(std::stop_token stop, Database& db);

}  // namespace riseml::api
