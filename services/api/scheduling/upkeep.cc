#include "services/api/scheduling/upkeep.h"

#include <chrono>
#include <condition_variable>
#include <string>

#include "services/api/experiment/kills.h"
#include "services/api/user/audit_log.h"
#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/pause.h"
#include "services/common/sql/feed.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr absl::Duration kSealInterval = absl::Minutes(5);
constexpr int kSealsPerPrune = 12;
constexpr int kTransitionsAtOnce = 20'000;

// Transitions of experiments that both began and ended long ago.
constexpr char kDeleteOldTransitions[] = R"sql(
  DELETE FROM transitions
  WHERE id IN (
    SELECT t.id
    FROM experiments e
    JOIN transitions t ON t.root_uid = e.uid
    WHERE e.child = 0
      AND e.create_time < now() - make_interval(days => $1)
      AND e.end_time < now() - make_interval(days => $1)
    LIMIT $2)
)sql";

// Runs `body` in a transaction and only logs a failure. Returns whether it succeeded.
template <class Body>
bool Attempt(Database& db, absl::string_view doing, Body&& body) {
  const absl::Status status = db.Read(doing, [&](pqxx::work& tx) {
    body(tx);
    return absl::OkStatus();
  });
  if (!status.ok()) LogWarning("upkeep_failed", {{"doing", doing}, {"error", std::string(status.message())}});
  return status.ok();
}

void PruneAll(const std::stop_token& stop, Database& db) {
  for (bool done = false; !done && !stop.stop_requested();)
    if (!Attempt(db, "prune", [&done](pqxx::work& tx) { done = Prune(tx); })) return;
}

}  // namespace

bool Prune(pqxx::transaction_base& tx) {
  sql::PruneFeed(tx, kFeedHours);
  sql::Query(tx, "DELETE FROM requests WHERE create_time < now() - make_interval(hours => $1)", kRequestHours);
  const auto removed = sql::Query(tx, kDeleteOldTransitions, kTransitionDays, kTransitionsAtOnce);
  return removed.affected_rows() < static_cast<pqxx::result::size_type>(kTransitionsAtOnce);
}

absl::Status PrepareAuditMonths(Database& db) {
  return db.Read("make months of the audit log", [](pqxx::work& tx) {
    MakeAuditMonths(tx);
    return absl::OkStatus();
  });
}

void KeepUp(std::stop_token stop, Database& db) {
  int pass = 0;
  do {
    if (const absl::Status status = ResumeKills(db); !status.ok())
      LogWarning("upkeep_failed", {{"doing", "resume kills"}, {"error", std::string(status.message())}});
    Attempt(db, "seal the audit log", [](pqxx::work& tx) { SealAudit(tx); });
    if (pass % kSealsPerPrune == 0) {
      PruneAll(stop, db);
      Attempt(db, "drop old months of the audit log", [](pqxx::work& tx) {
        MakeAuditMonths(tx);
        DropOldAudit(tx);
      });
    }
    ++pass;
  } while (Pause(stop, kSealInterval));
}

}  // namespace riseml::api
