// The feed: one row for each change, written in the transaction that makes it, read in a way that misses nothing.
//
// Reading by number alone would miss rows: a transaction may commit after another one that took a higher number. Each
// row therefore carries the id of its transaction, and a reader remembers which transactions its last read saw. It gets
// each row in the first read that sees it, however long other transactions take.
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::sql {

// A position in the feed, ordered by (transaction, number): everything up to and including this row has been seen.
struct FeedPosition {
  std::uint64_t tx = 0;
  std::int64_t id = 0;
  friend auto operator<=>(const FeedPosition&, const FeedPosition&) = default;
};

std::string PrintFeedPosition(const FeedPosition& position);  // "tx:id"
absl::StatusOr<FeedPosition> ParseFeedPosition(absl::string_view text);

struct FeedRow {
  FeedPosition position;
  std::string root_uid;
  std::string kind;
  std::string uid;
};

// The transactions that one look at the database shows.
struct FeedSnapshot {
  std::string text;   // as pg_snapshot
  FeedPosition done;  // every row up to here is visible, or never will be
};

// The snapshot of the transaction's first statement; the transaction must be REPEATABLE READ.
FeedSnapshot SnapshotOfFeed(pqxx::transaction_base& tx);

// Rows behind `after` that the transaction sees and `seen` did not show, at most `limit`.
std::vector<FeedRow> ReadFeed(pqxx::transaction_base& tx, const FeedPosition& after, const FeedSnapshot& seen,
                              int limit);

// Rows of one root behind `after` that the transaction sees. They account for every change of this root since `after`.
std::vector<FeedRow> ReadFeedOf(pqxx::transaction_base& tx, const std::string& root_uid, const FeedPosition& after);

// The last `limit` rows, in their order.
std::vector<FeedRow> ReadFeedTail(pqxx::transaction_base& tx, int limit);

// Removes rows older than `hours`.
void PruneFeed(pqxx::transaction_base& tx, int hours);

}  // namespace riseml::sql
