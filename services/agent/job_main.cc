// riseml-job: the program that runs beside the commands of a job, in whatever image or sandbox they run. It is linked
// statically, so that it needs nothing of the image.
//   run --dir DIR        runs the commands of one attempt (started by node)
//   forward PORT…        connects ports of a container to those of this machine (started by node)
//   report NAME=VALUE…   reports results (started by jobs, as `riseml-report`)

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/agent/run/port_forwarder.h"
#include "services/agent/run/report.h"
#include "services/agent/run/runner.h"
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
  riseml::cmdline::CommandLine command_line("riseml-job", "Runs the commands of a job of RiseML");
  riseml::cmdline::Command& root = command_line.root();
  root.AddVersion("--version", std::string("riseml-job ") + RISEML_VERSION);
  root.RequireCommand();

  std::string dir;
  bool inherited = false;
  std::vector<std::string> ports;
  riseml::cmdline::Command run = root.AddCommand("run", "Makes the processes of one attempt");
  run.AddOption("--dir", dir, "Directory of the attempt's files").Required();
  run.AddFlag("--inherited", inherited, "Files were opened by the parent: descriptors 3 and up");
  riseml::cmdline::Command forward = root.AddCommand("forward", "Connects ports of a container to this machine");
  forward.AddOption("ports", ports, "Ports of 127.0.0.1").Required();
  command_line.ParseOrExit(argc, argv);

  if (forward.typed())
    return riseml::runtime::RunMain(
        "forward", [&] { return riseml::agent::ForwardPorts(riseml::agent::kForwarderSocket, ports); });
  const int code = riseml::runtime::RunMain("run", [&] {
    const riseml::SystemClock clock;
    return inherited ? riseml::agent::RunAttempt(dir, riseml::agent::kInheritedFiles, clock)
                     : riseml::agent::RunAttempt(dir, clock);
  });
  // Exits at once, since a leak checker at the exit would need to trace this process, which forbids tracing.
  std::_Exit(code);
}
