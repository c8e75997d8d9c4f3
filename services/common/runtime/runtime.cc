#include "services/common/runtime/runtime.h"

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "services/common/base/log.h"
#include "services/common/base/own_environment.h"
#include "services/common/cmdline/command_line.h"

namespace riseml::runtime {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// Gives the memory of a large call back to the system at its end. glibc keeps a heap for each thread, up to 8 per
// processor, and raises the size from which memory is mapped up to 32 MB when a large piece is given back.
void GiveMemoryBack() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

}  // namespace

void StopGroup::StopAll() {
  while (!stops_.empty()) {
    const std::function<void()> stop = std::move(stops_.back());
    stops_.pop_back();
    stop();
  }
}

void BlockSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void WaitForSignal() {
  const sigset_t set = StopSignals();
  int signal = 0;
  sigwait(&set, &signal);
  LogInfo("stopping", {{"signal", signal}});
}

bool SignalCameWithin(absl::Duration limit) {
  const sigset_t set = StopSignals();
  const timespec wait = absl::ToTimespec(limit);
  const int signal = sigtimedwait(&set, nullptr, &wait);
  if (signal <= 0) return false;
  LogInfo("stopping", {{"signal", signal}});
  return true;
}

Arguments ParseArguments(int argc, char** argv, const char* name, const char* description) {
  Arguments arguments;
  cmdline::CommandLine command_line(name, description);
  cmdline::Command& root = command_line.root();
  root.AddOption("--config", arguments.config_file, "Configuration file (YAML, riseml.config.v1)").Required();
  root.AddFlag("--check", arguments.check_only, "Read and check the configuration, then exit");
  root.AddVersion("--version", std::string(name) + " " + RISEML_VERSION);
  command_line.ParseOrExit(argc, argv);
  return arguments;
}

int RunMain(const char* name, const std::function<absl::Status()>& body) {
  SetLogName(name);
  HideEnvironment();
  GiveMemoryBack();
  BlockSignals();
  const absl::Status status = body();
  if (status.ok()) return 0;
  std::fprintf(stderr, "ERROR: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace riseml::runtime
