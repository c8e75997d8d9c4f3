// What `riseml train` says about the files of a project. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/render/terminal.h"
#include "cli/sync/push.h"

namespace riseml::cli {

// "Syncing project (16.8 MB, 15 files)..."
std::string SyncTitle(std::int64_t bytes, std::int64_t files);

// Advice about large projects, files that were left out. Lines for standard error; may be empty.
std::string SyncNotes(const sync::Snapshot& snapshot);

// Files that kept changing. Lines for standard error; may be empty.
std::string MovingNotes(const std::vector<std::string>& still_moving);

}  // namespace riseml::cli
