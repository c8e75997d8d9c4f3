// Writes a revision as a tar archive.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/gitsync/repository/repository.h"
#include "services/gitsync/tar_writer.h"

namespace riseml::gitsync {

// Finds a commit by its 40 hex digits. INVALID_ARGUMENT, NOT_FOUND.
absl::StatusOr<CommitInfo> FindCommit(const Repository& repository, absl::string_view commit);

// Writes the files of a commit, sorted as git sorts them, directories before their content. Equal trees and times give
// equal bytes. `commit` is 40 hex digits. NOT_FOUND; or the sink's error. Holds one file in memory at a time.
absl::Status WriteArchive(const Repository& repository, absl::string_view commit, const ByteSink& sink);

}  // namespace riseml::gitsync
