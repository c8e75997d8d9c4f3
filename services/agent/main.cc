// riseml-agent: the node side of jobs.
//   node --config FILE   runs attempts on this machine
//   ship --dir DIR       delivers the log of one attempt (started by node)

#include <string>

#include "absl/status/status.h"
#include "services/agent/node/node_main.h"
#include "services/agent/ship/ship_main.h"
#include "services/common/cmdline/command_line.h"
#include "services/common/runtime/runtime.h"

int main(int argc, char** argv) {
  riseml::cmdline::CommandLine command_line("riseml-agent", "Runs jobs of RiseML on this machine");
  riseml::cmdline::Command& root = command_line.root();
  root.AddVersion("--version", std::string("riseml-agent ") + riseml::agent::AgentVersion());
  root.RequireCommand();

  std::string config_file, dir;
  bool check_only = false, inherited = false;
  riseml::cmdline::Command node = root.AddCommand("node", "Runs attempts on this machine");
  node.AddOption("--config", config_file, "Configuration file (YAML, riseml.config.v1.NodeConfig)").Required();
  node.AddFlag("--check", check_only, "Read and check the configuration, then exit");
  riseml::cmdline::Command ship = root.AddCommand("ship", "Brings the log of one attempt away");
  ship.AddOption("--dir", dir, "Directory of the attempt's files").Required();
  ship.AddFlag("--inherited", inherited, "The log was opened by the parent: descriptor 3");
  command_line.ParseOrExit(argc, argv);

  if (node.typed())
    return riseml::runtime::RunMain("agent", [&] { return riseml::agent::RunNode(config_file, check_only); });
  return riseml::runtime::RunMain(
      "ship", [&] { return riseml::agent::ShipAttempt(dir, inherited ? riseml::agent::kInheritedShipLog : -1); });
}
