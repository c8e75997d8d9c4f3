// Environment variables of a job in a container.
#pragma once

#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Variables of a job whose image sets `image`: those, with the job's own before them. Programs of the image come first
// in PATH, and RiseML's Python client is added to PYTHONPATH, where every Python finds it. Settings of the node that
// name files or locales of the machine are left out, since a container may not have them.
Variables ContainerVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths,
                             const JobPorts& ports, const Variables& node, const Variables& image);

// Variables that make buildah work without options in a container for builds of images. `settings` is the directory of
// its configuration files.
Variables BuildahVariables(const std::string& settings);

}  // namespace riseml::agent
