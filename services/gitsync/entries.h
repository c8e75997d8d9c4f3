// Single files, links and directories of a revision.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/code.pb.h"
#include "services/gitsync/repository.h"

namespace riseml::gitsync {

// What lies at `paths` ("" is the root), within the bounds that the message names. Absent paths are left out; a
// link at a path itself is not followed, one on the way to it is. LIMIT_EXCEEDED for more than 500 paths; NOT_FOUND for
// the commit.
absl::StatusOr<internal::v1::ReadEntriesResponse> ReadEntries(const Repository& repository, absl::string_view commit,
                                                              const std::vector<std::string>& paths);

}  // namespace riseml::gitsync
