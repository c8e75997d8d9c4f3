// Assigns what attempts of a node should not share by accident: ports, and processors as far as there are enough.
// Keeps no state: the plans of the running attempts say what is taken.
#pragma once

#include <string>
#include <vector>

#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Plans of the attempts in `parent` that have not ended, without that of `own`, a directory in it.
std::vector<internal::v1::RunPlan> LivePlans(const std::string& parent, const std::string& own);

// Two ports that nobody listens on now and no plan has. `seed` decides where the search begins. {0, 0} when there are
// none.
bool IsJobPort(int port);  // one that ChoosePorts might give
JobPorts ChoosePorts(const std::vector<internal::v1::RunPlan>& taken, std::size_t seed);

// `cpus`, rounded up, of the processors in `all`: those the fewest plans have. Empty when it would be all of them, or
// `cpus` is 0. Pure.
std::vector<int> ChooseProcessors(const std::vector<internal::v1::RunPlan>& taken, const std::vector<int>& all,
                                  double cpus);

// Processors this process may run on.
std::vector<int> OwnProcessors();

}  // namespace riseml::agent
