// Kills sets. A set may have ten thousand children. One transaction for all of them would delay all watchers, as the
// feed shows nothing that is younger than the oldest open transaction. A kill therefore first marks the set, so that no
// further child starts, and then kills its children in pieces.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/api/data/database.h"
#include "services/api/data/lifecycle.h"

namespace riseml::api {

inline constexpr std::int64_t kChildrenKilledAtOnce = 500;

// The first piece, which marks a set for killing: the root and the first of its children.
inline constexpr ChildRange kFirstPiece{0, kChildrenKilledAtOnce};

// Kills the children of a marked set, piece by piece. Does not affect those that are killed already.
absl::Status KillChildren(Database& db, const std::string& root_uid, const std::string& actor);

// Resumes every kill that was interrupted, e.g. by the end of its process.
absl::Status ResumeKills(Database& db);

}  // namespace riseml::api
