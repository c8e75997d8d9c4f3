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
// Text that each job is told about the build, at most 4 KiB; empty: nothing. Never follows a link.
std::string NoteOfBuild(const std::string& environment_path);

// Copies files, links and directories below `from` to `to`, which exists, unless something is there already. Links are
// copied, never followed. File systems that can share blocks do. Nothing to do when `from` is absent. CANCELLED when
// stopped.
//
// `modified`: time of modification of all copies, absent: each file keeps its own. The code itself is as young as the
// attempt, so that nobody takes what an earlier revision left in a cache for what this one would make.
absl::Status CopyBeneath(const std::string& from, const std::string& to, std::optional<absl::Time> modified,
                         const std::stop_token& stop);

}  // namespace riseml::agent
