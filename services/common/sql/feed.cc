#include "services/common/sql/feed.h"

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::sql {
namespace {

std::vector<FeedRow> ToRows(const pqxx::result& result) {
  std::vector<FeedRow> rows;
  rows.reserve(result.size());
  for (const auto& row : result)
    rows.push_back({{row[0].as<std::uint64_t>(), row[1].as<std::int64_t>()},
                    row[2].as<std::string>(),
                    row[3].as<std::string>(),
                    row[4].as<std::string>()});
  return rows;
}

}  // namespace

std::string PrintFeedPosition(const FeedPosition& position) { return absl::StrCat(position.tx, ":", position.id); }

absl::StatusOr<FeedPosition> ParseFeedPosition(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  FeedPosition position;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &position.tx) || !absl::SimpleAtoi(parts[1], &position.id))
    return Error(Reason::kInvalidArgument, "resume_token was not made by this server");
  return position;
}

FeedSnapshot SnapshotOfFeed(pqxx::transaction_base& tx) {
  const pqxx::row row =
      QueryRow(tx, "SELECT pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text");
  return {row[0].as<std::string>(), {row[1].as<std::uint64_t>() - 1, std::numeric_limits<std::int64_t>::max()}};
}

std::vector<FeedRow> ReadFeed(pqxx::transaction_base& tx, const FeedPosition& after, const FeedSnapshot& seen,
                              int limit) {
  return ToRows(Query(tx,
                      "SELECT tx::text, id, root_uid, kind, COALESCE(uid::text, '') FROM feed "
                      "WHERE (tx, id) > ($1::text::xid8, $2) AND NOT pg_visible_in_snapshot(tx, "
                      "$4::text::pg_snapshot) ORDER BY tx, id LIMIT $3",
                      std::to_string(after.tx), after.id, limit, seen.text));
}

std::vector<FeedRow> ReadFeedOf(pqxx::transaction_base& tx, const std::string& root_uid, const FeedPosition& after) {
  return ToRows(Query(tx,
                      "SELECT tx::text, id, root_uid, kind, COALESCE(uid::text, '') FROM feed "
                      "WHERE (tx, id) > ($1::text::xid8, $2) AND root_uid = $3 ORDER BY tx, id",
                      std::to_string(after.tx), after.id, root_uid));
}

std::vector<FeedRow> ReadFeedTail(pqxx::transaction_base& tx, int limit) {
  std::vector<FeedRow> rows =
      ToRows(Query(tx,
                   "SELECT tx::text, id, root_uid, kind, COALESCE(uid::text, '') FROM feed ORDER BY tx DESC, id DESC "
                   "LIMIT $1",
                   limit));
  std::reverse(rows.begin(), rows.end());
  return rows;
}

void PruneFeed(pqxx::transaction_base& tx, int hours) {
  Query(tx, "DELETE FROM feed WHERE time < now() - make_interval(hours => $1)", hours);
}

}  // namespace riseml::sql
