// Notes for the user at the top of a job's log.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "riseml/config/v1/agent.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/launch/sandbox.h"

namespace riseml::agent {

// Directories to show below the data directory, by name: those whose source and mount point both exist on this machine.
std::map<std::string, std::string> PresentDataPaths(const config::v1::NodeConfig& config);

// Returns notes on links in the data directory whose target a sandboxed job cannot see, with the line that makes them
// work, and on directories of `riseml up --data` that are gone.
std::vector<std::string> NotesOnData(const config::v1::NodeConfig& config, const SystemView& system);

// Returns notes on paths that the attempt uses and that exist only in a sandbox. Pure.
std::vector<std::string> NotesOnPlainPaths(const internal::v1::StartAttemptRequest& start);

}  // namespace riseml::agent
