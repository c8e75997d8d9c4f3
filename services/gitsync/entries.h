// Single files, links and directories of a revision.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/code.pb.h"
#include "services/gitsync/repository/repository.h"

namespace riseml::gitsync {

// Returns the entries at `paths` ("" is the root), within the limits stated at CodeEntry. Leaves absent paths out.
// Does not follow a link at a path itself, but follows those on the way. LIMIT_EXCEEDED for more than 500 paths;
// NOT_FOUND if the commit does not exist.
absl::StatusOr<internal::v1::ReadEntriesResponse> ReadEntries(const Repository& repository, absl::string_view commit,
                                                              const std::vector<std::string>& paths);

}  // namespace riseml::gitsync
