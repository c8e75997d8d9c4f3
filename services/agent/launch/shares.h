// Assigns ports and, as far as there are enough, processors to attempts, so that attempts of a node do not share them
// by accident. Keeps no state: the plans of the running attempts say what is taken.
#pragma once

#include <string>
#include <vector>

#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Returns the plans of the attempts in `parent` that have not ended, except the one in the directory `own`.
std::vector<internal::v1::RunPlan> LivePlans(const std::string& parent, const std::string& own);

// ChoosePorts returns two ports that no process listens on now and no plan has. `seed` decides where the search begins.
// {0, 0} if there are none.
bool IsJobPort(int port);  // true if ChoosePorts may return it
JobPorts ChoosePorts(const std::vector<internal::v1::RunPlan>& taken, std::size_t seed);

// Chooses `cpus`, rounded up, of the processors in `all`: those that the fewest plans have. Empty if that would be all
// of them, or if `cpus` is 0. Pure.
std::vector<int> ChooseProcessors(const std::vector<internal::v1::RunPlan>& taken, const std::vector<int>& all,
                                  double cpus);

// Processors this process may run on.
std::vector<int> OwnProcessors();

}  // namespace riseml::agent
