// Schema migrations: numbered SQL files, forward only, checksummed, one transaction each.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::sql {

struct Migration {
  int version;  // 1, 2, 3, … without a hole
  absl::string_view name;
  absl::string_view sql;
};

// Applies what is missing, under an advisory lock: two at once are safe, a killed one resumes. FAILED_PRECONDITION
// (NEWER_FORMAT) when the database is newer than `migrations`; DATA_LOSS when an applied migration has another checksum
// now.
absl::Status Migrate(const std::string& connection, const std::vector<Migration>& migrations);

// OK when the schema is exactly the one of `migrations`. FAILED_PRECONDITION, with a sentence that says what to run,
// when the database is older; it has the reason NEWER_FORMAT when the database is newer.
absl::Status CheckSchema(const std::string& connection, const std::vector<Migration>& migrations);

}  // namespace riseml::sql
