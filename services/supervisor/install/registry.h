// Registry of an installation whose jobs run in containers: Debian's docker-registry, which keeps the images of
// environments. builder signs the tokens that it trusts (adr/0018).
#pragma once

#include <string>
#include <vector>

#include "riseml/config/v1/agent.pb.h"
#include "riseml/config/v1/builder.pb.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

std::vector<std::string> RegistryCommand(const Layout& layout, const std::string& docker_registry);

// Text of its configuration.
std::string MakeRegistryConfig(const Layout& layout, const config::v1::SupervisorState& state);

// Configurations of builder and of the node that belong to it.
config::v1::Images ImagesOf(const Layout& layout, const config::v1::SupervisorState& state);
config::v1::Podman PodmanOf(const Layout& layout, const config::v1::SupervisorState& state);

}  // namespace riseml::supervisor
