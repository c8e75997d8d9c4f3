// riseml-agent: the job side of RiseML.
//   node --config FILE   runs attempts on this machine
//   run --dir DIR        makes the processes of one attempt (started by node)
//   ship --dir DIR       brings the log of one attempt away (started by node)

#include <cstdlib>
#include <string>

#include "services/agent/node_main.h"
#include "services/agent/runner.h"
#include "services/agent/ship_main.h"
#include "services/common/base/clock.h"
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
  riseml::cmdline::Command run = root.AddCommand("run", "Makes the processes of one attempt");
  riseml::cmdline::Command ship = root.AddCommand("ship", "Brings the log of one attempt away");
  for (riseml::cmdline::Command command : {run, ship}) {
    command.AddOption("--dir", dir, "Directory of the attempt's files").Required();
    command.AddFlag("--inherited", inherited, "Files were opened by the parent: descriptors 3 and up");
  }
  command_line.ParseOrExit(argc, argv);

  if (node.typed())
    return riseml::runtime::RunMain("agent", [&] { return riseml::agent::RunNode(config_file, check_only); });
  if (run.typed()) {
    const int code = riseml::runtime::RunMain("run", [&] {
      const riseml::SystemClock clock;
      return inherited ? riseml::agent::RunAttempt(dir, riseml::agent::kInheritedFiles, clock)
                       : riseml::agent::RunAttempt(dir, clock);
    });
    // At once: it hides from tracing, which a leak checker at the exit would need.
    std::_Exit(code);
  }
  return riseml::runtime::RunMain(
      "ship", [&] { return riseml::agent::ShipAttempt(dir, inherited ? riseml::agent::kInheritedShipLog : -1); });
}
