// Configuration files of the services, derived from what the installation chose. Pure but for the writing.
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
  std::vector<std::string> interpreter_dirs;  // beside the system's own
  std::int64_t max_files = 1024;              // that one process may have open
  std::int64_t output_bytes = 0;              // size of the file system that outputs lie on; 0: unknown
};

config::v1::ApiConfig MakeApiConfig(const ConfigInput& input);
config::v1::GitsyncConfig MakeGitsyncConfig(const ConfigInput& input);
config::v1::BuilderConfig MakeBuilderConfig(const ConfigInput& input);
config::v1::LoghandlerConfig MakeLoghandlerConfig(const ConfigInput& input);
config::v1::NodeConfig MakeNodeConfig(const ConfigInput& input);
config::v1::SchedulerConfig MakeSchedulerConfig(const ConfigInput& input);

// Client identity of the supervisor itself, for health checks.
config::v1::ClientTls SupervisorTls(const Layout& layout);

// Text of every service's file, by service name, and of the edge's if there is one.
absl::StatusOr<std::map<std::string, std::string>> RenderConfigs(const ConfigInput& input);

// Writes the files that differ from what is there.
absl::Status WriteConfigs(const Layout& layout, const std::map<std::string, std::string>& texts);

}  // namespace riseml::supervisor
