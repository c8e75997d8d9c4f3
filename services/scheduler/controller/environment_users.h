// Finds jobs that build or use an environment.
#pragma once

#include <string>

#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// Resource name of a job with a live attempt that makes or uses the environment, other than `uid`; empty when there is
// none.
std::string UserOf(const Shared& shared, const std::string& environment_key, const std::string& uid);

}  // namespace riseml::scheduler
