// riseml-agent: the job side of RiseML.
//   node --config FILE   runs attempts on this machine
//   run --dir DIR        makes the processes of one attempt (started by node)
//   ship --dir DIR       brings the log of one attempt away (started by node)

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>

#include "services/agent/node_main.h"
#include "services/agent/runner.h"
#include "services/agent/ship_main.h"
#include "services/common/base/clock.h"
#include "services/common/runtime/runtime.h"

int main(int argc, char** argv) {
  CLI::App app("Runs jobs of RiseML on this machine", "riseml-agent");
  app.set_version_flag("--version", std::string("riseml-agent ") + riseml::agent::AgentVersion());
  app.require_subcommand(1);

  std::string config_file, dir;
  bool check_only = false, inherited = false;
  CLI::App* node = app.add_subcommand("node", "Runs attempts on this machine");
  node->add_option("--config", config_file, "Configuration file (YAML, riseml.config.v1.NodeConfig)")->required();
  node->add_flag("--check", check_only, "Read and check the configuration, then exit");
  CLI::App* run = app.add_subcommand("run", "Makes the processes of one attempt");
  CLI::App* ship = app.add_subcommand("ship", "Brings the log of one attempt away");
  for (CLI::App* command : {run, ship}) {
    command->add_option("--dir", dir, "Directory of the attempt's files")->required();
    command->add_flag("--inherited", inherited, "Files were opened by the parent: descriptors 3 and up");
  }
  CLI11_PARSE(app, argc, argv);

  if (node->parsed())
    return riseml::runtime::RunMain("agent", [&] { return riseml::agent::RunNode(config_file, check_only); });
  if (run->parsed()) {
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
