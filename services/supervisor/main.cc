// riseml-supervisor: starts, stops and shows a local installation. `riseml up` and `riseml down` run it.
#include <cstdio>
#include <string>

#include "services/common/base/status.h"
#include "services/common/cmdline/command_line.h"
#include "services/supervisor/commands.h"
#include "services/supervisor/install/runtime.h"

namespace {

int Finish(const absl::Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "ERROR: %s\n", std::string(status.message()).c_str());
  return absl::IsCancelled(status) ? 130 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  riseml::cmdline::CommandLine command_line("riseml-supervisor", "Runs RiseML on this machine.");
  riseml::cmdline::Command& root = command_line.root();
  root.AddVersion("--version", std::string("riseml-supervisor ") + RISEML_VERSION);
  root.RequireCommand();
  riseml::supervisor::Options options;
  riseml::cmdline::Command up = root.AddCommand("up", "Start everything; returns when all is healthy");
  riseml::cmdline::Command down = root.AddCommand("down", "Stop everything; running jobs keep running");
  riseml::cmdline::Command status = root.AddCommand("status", "Show the services; exit code 0 when all are healthy");
  riseml::cmdline::Command admin_key =
      root.AddCommand("admin-key", "Make a new API key for user admin and log in with it: for owners who lost theirs");
  for (riseml::cmdline::Command verb : {up, down, status, admin_key}) {
    verb.AddOption("--dir", options.dir,
                   "Directory of the installation; default: $RISEML_DIR, else /var/lib/riseml for root and "
                   "~/.riseml/local for others");
  }
  for (riseml::cmdline::Command verb : {up, admin_key})
    verb.AddOption("--bin-dir", options.bin_dir,
                   "Directory of the services' programs (default: where this program lies)");
  up.AddOption("--data", options.data, "Directory that jobs see read-only as /data/NAME; kept; NAME= takes it away")
      .Type("NAME=PATH");
  up.AddOption("--kafka", options.kafka,
               "Kafka brokers that logs go over; kept; \"none\": logs go to the log handler directly, as by default")
      .Type("BROKERS");
  up.AddOption("--runtime", options.runtime,
               "How jobs run: \"podman\", in containers, or \"process\", as by default; kept")
      .OneOf({riseml::supervisor::kPodmanRuntime, riseml::supervisor::kProcessRuntime})
      .Type("RUNTIME");
  command_line.ParseOrExit(argc, argv);

  if (up.typed()) return Finish(riseml::supervisor::Up(options));
  if (down.typed()) return Finish(riseml::supervisor::Down(options));
  if (admin_key.typed()) return Finish(riseml::supervisor::AdminKey(options));
  const absl::StatusOr<bool> healthy = riseml::supervisor::PrintStatus(options);
  if (!healthy.ok()) return Finish(healthy.status());
  return *healthy ? 0 : 1;
}
