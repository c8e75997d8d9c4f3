// What a user should know before a job runs: lines for the top of its log.
#pragma once

#include <string>
#include <vector>

#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/sandbox.h"

namespace riseml::agent {

// One for each link in the data directory whose target a sandboxed job cannot see, with the line that makes it work.
std::vector<std::string> NotesOnData(const std::string& data, const SystemView& system);

// What an attempt names that does not exist without a sandbox. Pure.
std::vector<std::string> NotesOnPlainPaths(const internal::v1::StartAttemptRequest& start);

}  // namespace riseml::agent
