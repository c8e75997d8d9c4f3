// Keeps the files that build steps wrote to the project's directory and to HOME. A job gets copies of them beneath
// its own files.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace riseml::agent {

// Directories in which an environment keeps these files.
std::string LeftInCode(const std::string& environment_path);
std::string LeftInHome(const std::string& environment_path);
// Returns the note of the build for each job, at most 4 KiB; empty if there is none. Never follows a link.
std::string NoteOfBuild(const std::string& environment_path);

// Copies files, links and directories below `from` to the directory `to`, which must exist. Entries that exist there
// stay. Links are copied, never followed. Blocks are shared where the file system can do so. No effect if `from` is
// absent. CANCELLED if stopped.
//
// `modified` is the modification time of all copies; if absent, each file keeps its own. The files of the code itself
// get the time of the attempt, so that no tool takes cached results of an earlier revision for current ones.
absl::Status CopyBeneath(const std::string& from, const std::string& to, std::optional<absl::Time> modified,
                         const std::stop_token& stop);

}  // namespace riseml::agent
