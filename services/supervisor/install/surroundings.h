// Finds out what a local installation can use of its machine: interpreters, data, programs for isolation.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Directories that contain Python interpreters, directly or below: those on PATH, of pyenv and of uv.
std::vector<std::string> InterpreterDirs();

// Stores the directories of `riseml up --data NAME=PATH` and makes their mount points below the data directory,
// replacing links of that name; "NAME=" removes one. INVALID_ARGUMENT, with advice, if a directory cannot be used: it
// does not exist, the services cannot read it, or it would show jobs the keys of the installation.
absl::Status TakeDataPaths(const std::vector<std::string>& given, const Layout& layout,
                           config::v1::SupervisorState* state);

// Returns what this machine lacks for the isolation of jobs, each as a sentence with the remedy; empty: nothing that
// can be seen at once. To be called with the account of the services.
std::vector<std::string> NotesOnIsolation();

}  // namespace riseml::supervisor
