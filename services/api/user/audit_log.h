// Upkeep of the audit log: a partition for each month, a chain of hashes over the rows, an end for old months.
//
// Rows are written by RecordAudit in the transaction of the change. The chain is made behind them, so that it costs no
// change anything: whoever alters, removes or inserts a row that a link covers breaks the chain from there on.
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

// Adds links for rows older than 5 minutes, which is longer than any transaction lasts. At most 100,000 rows a call;
// returns their number. Of two calls at once one does nothing.
std::int64_t SealAudit(pqxx::transaction_base& tx);

struct AuditReport {
  std::int64_t links = 0;
  std::int64_t rows = 0;      // covered by the links
  std::int64_t unsealed = 0;  // rows behind the last link
  std::string hash;           // of the last link, 64 hex digits; empty without one
};

// Computes the chain anew. DATA_LOSS names the first link whose rows do not give its hash, and its range of times.
absl::StatusOr<AuditReport> VerifyAudit(pqxx::transaction_base& tx);

}  // namespace riseml::api
