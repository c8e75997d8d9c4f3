// The feed: one row for each change, written in the transaction that makes it, read in an order that misses nothing.
//
// A sequence number alone loses rows: a transaction may commit after another one that took a later number. Rows
// therefore carry their transaction id and are read up to the oldest transaction that is still running, ordered by
// (transaction, number).
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::sql {

// A position in the feed: everything up to and including this row has been seen.
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

// Next rows behind `after`, at most `limit`.
std::vector<FeedRow> ReadFeed(pqxx::transaction_base& tx, const FeedPosition& after, int limit);

// Rows of one root behind `after` that the transaction sees, also those whose turn has not come yet: what explains all
// that the transaction reads of this root beyond `after`.
std::vector<FeedRow> ReadFeedOf(pqxx::transaction_base& tx, const std::string& root_uid, const FeedPosition& after);

// The last `limit` rows that may be read now, oldest first.
std::vector<FeedRow> ReadFeedTail(pqxx::transaction_base& tx, int limit);

// Removes rows older than `hours`.
void PruneFeed(pqxx::transaction_base& tx, int hours);

}  // namespace riseml::sql
