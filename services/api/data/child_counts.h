// The children of a set in the database: how many of them are in which state, and whose turn it is. Inside the caller's
// transaction, with the root locked.
#pragma once

#include <pqxx/pqxx>
#include <string>

#include "absl/strings/string_view.h"
#include "services/api/data/states.h"

namespace riseml::api {

// Begins to count the children of a new set, all of which are CREATED.
void CountNewChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count);

// The counts of a set.
ChildCounts CountChildren(pqxx::transaction_base& tx, const std::string& root_uid);

// Keeps the counts in step: `count` children of a set have moved.
void CountMove(pqxx::transaction_base& tx, const std::string& root_uid, absl::string_view from, absl::string_view to,
               int count);

// Releases the next children of a set, at most `count`, in their order. `children`: all of the set as they are now.
void ReleaseChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count, const ChildCounts& children);

}  // namespace riseml::api
