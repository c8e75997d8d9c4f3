// Counts the children of a set by state in the database, and releases the next ones. Runs in the caller's transaction,
// with the root locked.
#pragma once

#include <pqxx/pqxx>
#include <string>

#include "absl/strings/string_view.h"
#include "services/api/data/states.h"

namespace riseml::api {

// Starts counting the children of a new set, all of which are CREATED.
void CountNewChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count);

// The counts of a set.
ChildCounts CountChildren(pqxx::transaction_base& tx, const std::string& root_uid);

// Updates the counts after `count` children of a set have changed state.
void CountMove(pqxx::transaction_base& tx, const std::string& root_uid, absl::string_view from, absl::string_view to,
               int count);

// Releases the next children of a set in their order, at most `count`. `children`: current counts of the whole set.
void ReleaseChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count, const ChildCounts& children);

}  // namespace riseml::api
