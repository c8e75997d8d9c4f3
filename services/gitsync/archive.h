// A revision as a tar archive, and ids of single files of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/gitsync/repository.h"
#include "services/gitsync/tar_writer.h"

namespace riseml::gitsync {

// Writes the files of a commit, sorted as git sorts them, directories before what they hold. Equal trees and times give
// equal bytes. `commit` is 40 hex digits. NOT_FOUND; or the sink's error. Holds one file in memory at a time.
absl::Status WriteArchive(const Repository& repository, absl::string_view commit, const ByteSink& sink);

// Blob ids, 40 hex digits, by path; paths that are absent or directories are left out. NOT_FOUND for the commit.
absl::StatusOr<std::map<std::string, std::string>> FindFileIds(const Repository& repository, absl::string_view commit,
                                                               const std::vector<std::string>& paths);

}  // namespace riseml::gitsync
