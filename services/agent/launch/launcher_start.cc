// Launcher: starts the processes of an attempt.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/launch/network.h"
#include "services/agent/launch/notes.h"
#include "services/agent/machine/gpu_devices.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/process/spawn.h"
#include "services/agent/run/runner.h"
#include "services/agent/ship/ship_main.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

using internal::v1::StartAttemptRequest;

constexpr std::int64_t kMaxCaBytes = 1 << 20;
constexpr std::int64_t kDefaultUnshippedLimit = std::int64_t{4} << 30;

}  // namespace

SandboxRequest Launcher::DescribeSandbox(const AttemptDir& dir, const StartAttemptRequest& start) const {
  SandboxRequest request;
  request.as_root = geteuid() == 0;
  request.job = options_.job;
  request.control = dir.control();
  request.code = dir.code();
  request.temporary = dir.temporary();
  request.output = outputs_.PathOf(start.template_().output_subpath());
  request.shared = outputs_.PathOf(start.template_().shared_subpath());
  request.inputs = outputs_.InputsOf(start.template_());
  request.data = options_.config.volume_data_dir();
  request.data_paths = PresentDataPaths(options_.config);
  request.environment = PlaceOfEnvironment(start);
  request.work = WorkOf(start.template_());
  request.environment_writable = start.build_steps_size() > 0 || start.role() == "build";
  request.memory_bytes = start.resources().memory_bytes();
  if (processes_have_network()) request.resolv_conf = dir.resolv_conf();
  request.python_client = options_.config.python_client_dir();
  request.gpu_devices = FindGpuDevices({start.gpu_uuids().begin(), start.gpu_uuids().end()}).paths;
  request.shown.assign(start.shown_paths().begin(), start.shown_paths().end());
  const std::string prefix = PythonFor(start.template_().image()).prefix;
  if (start.environment_path().empty() && !prefix.empty()) request.shown.push_back(prefix);
  return request;
}

absl::StatusOr<pid_t> Launcher::StartRun(const AttemptDir& dir, const StartAttemptRequest& start) const {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(dir.log(), O_WRONLY | O_APPEND | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const OutputEnds output, OpenOutput(dir.output()));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd journal, OpenFile(dir.journal(), O_RDWR | O_APPEND | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd results, OpenFile(dir.results(), O_WRONLY | O_APPEND | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd own_log,
                          OpenFile(dir.run_log(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  SpawnRequest request;
  request.descriptors = {{own_log.get(), 1},
                         {own_log.get(), 2},
                         {log.get(), kInheritedFiles.log},
                         {journal.get(), kInheritedFiles.journal},
                         {results.get(), kInheritedFiles.results},
                         {output.read.get(), kInheritedFiles.output_read},
                         {output.write.get(), kInheritedFiles.output_write}};
  if (IsInContainer(start)) return StartContainer(dir, start, std::move(request), own_log, output);
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  if (sandboxed())
    request.argv = SandboxArguments(DescribeSandbox(dir, start), system_,
                                    {kSandboxJob, "run", "--dir", kSandboxControl, "--inherited"});
  else
    request.argv = {options_.job, "run", "--dir", dir.control(), "--inherited"};
  if (!processes_have_network()) return SpawnDetached(request);
  RISEML_ASSIGN_OR_RETURN(const Pipe alive, MakePipe());
  RISEML_ASSIGN_OR_RETURN(const Pipe ready, MakePipe());
  request.own_network = true;
  request.descriptors.emplace_back(ready.read.get(), kInheritedFiles.network_ready);
  request.descriptors.emplace_back(alive.write.get(), kInheritedFiles.network_alive);
  RISEML_ASSIGN_OR_RETURN(const pid_t pid, SpawnDetached(request));
  // `run` reports in the log of the job that it has no network.
  if (const absl::Status connected = ConnectNetwork(pid, alive.read, ready.write, dir.path()); !connected.ok())
    LogWarning("network_not_connected", {{"attempt", dir.path()}, {"error", std::string(connected.message())}});
  return pid;
}

absl::StatusOr<pid_t> Launcher::StartShip(const AttemptDir& dir) const {
  internal::v1::ShipPlan plan;
  plan.set_loghandler_address(options_.config.loghandler_user_address());
  plan.set_api_address(options_.config.api_user_address());
  RISEML_ASSIGN_OR_RETURN(*plan.mutable_ca_pem(), ReadFile(options_.config.ca_file(), kMaxCaBytes));
  plan.set_unshipped_bytes_limit(options_.config.unshipped_bytes_limit() > 0 ? options_.config.unshipped_bytes_limit()
                                                                             : kDefaultUnshippedLimit);
  if (options_.config.has_kafka()) *plan.mutable_kafka() = options_.config.kafka();
  RISEML_RETURN_IF_ERROR(WriteMessage(dir.ship_plan(), plan));
  // Opened for writing only to free stored bytes.
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(dir.log(), O_RDWR | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd own_log,
                          OpenFile(dir.ship_log(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  SpawnRequest request;
  request.argv = {options_.agent, "ship", "--dir", dir.path(), "--inherited"};
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  request.descriptors = {{own_log.get(), 1}, {own_log.get(), 2}, {log.get(), kInheritedShipLog}};
  return SpawnDetached(request);
}

}  // namespace riseml::agent
