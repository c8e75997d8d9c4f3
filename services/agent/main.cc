// riseml-agent: the job side of RiseML.
//   node --config FILE   runs attempts on this machine
//   run --dir DIR        starts the processes of one attempt (started by node)
//   ship --dir DIR       delivers the log of one attempt (started by node)
//   report NAME=VALUE…   reports results (started by jobs, as `riseml-report`)

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/agent/node/node_main.h"
#include "services/agent/run/report.h"
#include "services/agent/run/runner.h"
#include "services/agent/ship/ship_main.h"
#include "services/common/base/clock.h"
#include "services/common/cmdline/command_line.h"
#include "services/common/runtime/runtime.h"

namespace {

constexpr char kReportFooter[] =
    R"(Numbers become numbers, true and false booleans, everything else text. A later value replaces an earlier one of the
same name. riseml status shows the results. The exit code is 1 when nothing was stored; a command that is to go on
without its results ends with `|| true`.

Examples:
  riseml-report accuracy=0.93 note="good run"
  riseml-report --text commit=1234567)";

// Has a separate command line, since users know it only as `riseml-report`.
int Report(int argc, char** argv) {
  riseml::cmdline::CommandLine command_line("riseml-report",
                                            "Reports results of the experiment that this job belongs to");
  std::vector<std::string> arguments;
  bool all_text = false;
  command_line.root().AddOption("results", arguments, "Results, each NAME=VALUE").Type("NAME=VALUE");
  command_line.root().AddFlag("-t,--text", all_text, "All values are text, whatever they look like");
  command_line.root().Footer(kReportFooter);
  command_line.ParseOrExit(argc, argv);
  const absl::StatusOr<std::string> line = riseml::agent::ReportLine(arguments, all_text);
  const char* const socket = std::getenv("RISEML_SOCKET");
  const absl::Status status =
      line.ok() ? riseml::agent::SendReport(socket == nullptr ? "" : socket, *line) : line.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "ERROR: results not reported: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == absl::string_view("report")) return Report(argc - 1, argv + 1);
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
    // Exits at once, since a leak checker at the exit would need to trace this process, which forbids tracing.
    std::_Exit(code);
  }
  return riseml::runtime::RunMain(
      "ship", [&] { return riseml::agent::ShipAttempt(dir, inherited ? riseml::agent::kInheritedShipLog : -1); });
}
