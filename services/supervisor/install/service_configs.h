// Configuration files of the services, derived from the choices of the installation. Pure, except for WriteConfigs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/config/v1/api.pb.h"
#include "riseml/config/v1/builder.pb.h"
#include "riseml/config/v1/common.pb.h"
#include "riseml/config/v1/gitsync.pb.h"
#include "riseml/config/v1/loghandler.pb.h"
#include "riseml/config/v1/scheduler.pb.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Name of the one node of a local installation.
inline constexpr char kNodeName[] = "local";

struct ConfigInput {
  Layout layout;
  config::v1::SupervisorState state;
  std::string python_client_dir;
  std::vector<std::string> interpreter_dirs;  // in addition to those of the system
  std::int64_t max_files = 1024;              // limit of open files per process
  std::int64_t output_bytes = 0;              // size of the file system of the outputs; 0: unknown
};

config::v1::ApiConfig MakeApiConfig(const ConfigInput& input);
config::v1::GitsyncConfig MakeGitsyncConfig(const ConfigInput& input);
config::v1::BuilderConfig MakeBuilderConfig(const ConfigInput& input);
config::v1::LoghandlerConfig MakeLoghandlerConfig(const ConfigInput& input);
config::v1::NodeConfig MakeNodeConfig(const ConfigInput& input);
config::v1::SchedulerConfig MakeSchedulerConfig(const ConfigInput& input);

// Client identity of the supervisor itself, for health checks.
config::v1::ClientTls SupervisorTls(const Layout& layout);

// Returns the text of each service's file, by service name, and those of the edge and the registry if there are such.
absl::StatusOr<std::map<std::string, std::string>> RenderConfigs(const ConfigInput& input);

// Writes the files whose content has changed.
absl::Status WriteConfigs(const Layout& layout, const std::map<std::string, std::string>& texts);

}  // namespace riseml::supervisor
