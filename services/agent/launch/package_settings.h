// The settings of proxies and package indexes that a node passes on to jobs.
#pragma once

#include <string>

#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Returns the path of the node's own pip.conf; empty: it has none.
std::string PipConfigOf(const Variables& environment);

// Returns the variables that jobs inherit, and the text of pip.conf under that name.
Variables PackageSettings(const Variables& environment);

}  // namespace riseml::agent
