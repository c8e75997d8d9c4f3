// Messages of `riseml train` about the files of a project. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/render/terminal.h"
#include "cli/sync/push.h"

namespace riseml::cli {

// Line about the upload: "Syncing project (16.8 MB, 15 files)...", "Syncing project (2.1 KB, 1 of 15 files)...", or
// "Project is unchanged (16.8 MB, 15 files); nothing is sent".
std::string SyncTitle(const sync::Snapshot& snapshot, const sync::UploadSize& upload);

// Advice about large uploads, files that were left out, links, submodules. Lines for standard error; may be empty.
std::string SyncNotes(const sync::Snapshot& snapshot, const sync::UploadSize& upload);

// Files that changed while they were read or sent. Lines for standard error; may be empty.
std::string MovingNotes(const std::vector<std::string>& still_moving);

// Every path that would be uploaded or left out, with its size and the rule that decides.
std::string DryRunText(const Terminal& terminal, const sync::Snapshot& snapshot);

}  // namespace riseml::cli
