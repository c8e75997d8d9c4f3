// Start and stop of a service: parts start in order, stop in reverse order, a signal asks for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace riseml::runtime {

// Stops parts in reverse order of their addition. Lives on one thread.
class StopGroup {
 public:
  // `stop` blocks until the part is quiet; it may be called once.
  void Add(std::function<void()> stop) { stops_.push_back(std::move(stop)); }
  void StopAll();
  ~StopGroup() { StopAll(); }

 private:
  std::vector<std::function<void()>> stops_;
};

// Blocks SIGTERM, SIGINT and SIGPIPE for all threads; to be called first in main.
void BlockSignals();

// Waits for SIGTERM or SIGINT.
void WaitForSignal();

// Waits for SIGTERM or SIGINT, at most that long. Returns whether one came.
bool SignalCameWithin(absl::Duration limit);

struct Arguments {
  std::string config_file;
  bool check_only = false;
};

// The flags every service has: --config FILE, --check, --version. Prints help or version and exits the process for
// those.
Arguments ParseArguments(int argc, char** argv, const char* name, const char* description);

// Runs a service's body and turns its status into an exit code: 0, or 1 with one `ERROR: …` line on stderr.
int RunMain(const char* name, const std::function<absl::Status()>& body);

}  // namespace riseml::runtime
