// Maintains the audit log: one partition per month, a chain of hashes over the rows, removal of old months.
//
// RecordAudit writes rows in the transaction of the change. The chain is extended later, so that it slows down no
// change. Altering, removing or inserting a row that a link covers breaks the chain from there on.
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>

#include "absl/status/statusor.h"

namespace riseml::api {

// Minimum time for which a row is kept, in months.
inline constexpr int kAuditMonths = 13;

// Makes the partitions of this month and of the next two, which rows need to be written.
void MakeAuditMonths(pqxx::transaction_base& tx);

// Removes months that ended more than kAuditMonths ago, and the links that cover nothing else.
void DropOldAudit(pqxx::transaction_base& tx);

// Adds links for rows older than 5 minutes, which is longer than any transaction lasts. Covers at most 100,000 rows per
// call and returns their number. Of two concurrent calls, one does nothing.
std::int64_t SealAudit(pqxx::transaction_base& tx);

struct AuditReport {
  std::int64_t links = 0;
  std::int64_t rows = 0;      // covered by the links
  std::int64_t unsealed = 0;  // rows behind the last link
  std::string hash;           // of the last link, 64 hex digits; empty without one
};

// Recomputes the chain. DATA_LOSS names the first link whose rows do not match its hash, and its range of times.
absl::StatusOr<AuditReport> VerifyAudit(pqxx::transaction_base& tx);

}  // namespace riseml::api
