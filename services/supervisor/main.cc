// riseml-supervisor: starts, stops and shows a local installation. `riseml up` and `riseml down` run it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "services/common/base/status.h"
#include "services/supervisor/commands.h"

namespace {

int Finish(const absl::Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "ERROR: %s\n", std::string(status.message()).c_str());
  return absl::IsCancelled(status) ? 130 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs RiseML on this machine.", "riseml-supervisor");
  app.set_version_flag("--version", std::string("riseml-supervisor ") + RISEML_VERSION);
  app.require_subcommand(1);
  riseml::supervisor::Options options;
  CLI::App* up = app.add_subcommand("up", "Start everything; returns when all is healthy");
  CLI::App* down = app.add_subcommand("down", "Stop everything; running jobs keep running");
  CLI::App* status = app.add_subcommand("status", "Show the services; exit code 0 when all are healthy");
  for (CLI::App* verb : {up, down, status}) {
    verb->add_option("--dir", options.dir,
                     "Directory of the installation; default: $RISEML_DIR, else /var/lib/riseml for root and "
                     "~/.riseml/local for others");
  }
  up->add_option("--bin-dir", options.bin_dir,
                 "Directory of the services' programs (default: where this program lies)");
  CLI11_PARSE(app, argc, argv);

  if (up->parsed()) return Finish(riseml::supervisor::Up(options));
  if (down->parsed()) return Finish(riseml::supervisor::Down(options));
  const absl::StatusOr<bool> healthy = riseml::supervisor::PrintStatus(options);
  if (!healthy.ok()) return Finish(healthy.status());
  return *healthy ? 0 : 1;
}
