// Kills of sets. A set may have ten thousand children: one transaction for all of them would hold back what others
// want to be told (the feed shows nothing that is younger than the oldest open transaction). A kill first marks the
// set, so that no further child starts, and then kills its children in pieces.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/api/data/database.h"
#include "services/api/data/lifecycle.h"

namespace riseml::api {

inline constexpr std::int64_t kChildrenKilledAtOnce = 500;

// The root and the first of its children: the piece that marks a set as to be killed.
inline constexpr ChildRange kFirstPiece{0, kChildrenKilledAtOnce};

// Kills the children of a marked set, piece after piece. Of no effect on those that are killed already.
absl::Status KillChildren(Database& db, const std::string& root_uid, const std::string& actor);

// Goes on with every kill that ended in between, with the process that was at it.
absl::Status ResumeKills(Database& db);

}  // namespace riseml::api
