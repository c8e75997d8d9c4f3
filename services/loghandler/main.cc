// riseml-loghandler: takes the logs of jobs, keeps them, and shows them to their owners.
#include <google/protobuf/util/time_util.h>

#include <csignal>
#include <cstdlib>
#include <memory>

#include "riseml/config/v1/loghandler.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"
#include "services/loghandler/loghandler.h"

namespace riseml::loghandler {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(2);  // for the last message of open calls

absl::Status CheckConfig(const config::v1::LoghandlerConfig& config) {
  if (config.data_dir().empty()) return Error(Reason::kInvalidArgument, "the configuration names no data_dir");
  if (config.api_address().empty()) return Error(Reason::kInvalidArgument, "the configuration names no api_address");
  if (!rpc::HasAddress(config.user_listener()))
    return Error(Reason::kInvalidArgument, "the configuration needs user_listener with an address");
  if (config.has_end_marker_grace() &&
      google::protobuf::util::TimeUtil::DurationToSeconds(config.end_marker_grace()) < 0)
    return Error(Reason::kInvalidArgument, "end_marker_grace must be 0 or more");
  return absl::OkStatus();
}

absl::Status Run(const runtime::Arguments& arguments) {
  config::v1::LoghandlerConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  RISEML_RETURN_IF_ERROR(CheckConfig(config));
  if (arguments.check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  const SystemClock clock;
  LogHandlerOptions options;
  options.store.dir = config.data_dir();
  // After a failed fsync the content of the disk is unknown: stop, restart, and read the actual content.
  options.store.on_fatal = [](const absl::Status&) { std::_Exit(1); };
  if (config.has_end_marker_grace()) {
    options.registry.end_marker_grace =
        absl::Milliseconds(google::protobuf::util::TimeUtil::DurationToMilliseconds(config.end_marker_grace()));
  }
  options.user_listener = config.user_listener();
  RISEML_ASSIGN_OR_RETURN(options.api, rpc::ServiceChannel(config.api_address(), config.client_tls()));
  const auto registry = metrics::ProcessRegistry();
  RISEML_ASSIGN_OR_RETURN(const auto handler, LogHandler::Start(std::move(options), clock, *registry));
  const metrics::Exposer exposer(config.metrics_address());
  LogInfo("started", {{"port", handler->port()}});
  runtime::WaitForSignal();
  handler->Stop(kGrace);
  return absl::OkStatus();
}

}  // namespace
}  // namespace riseml::loghandler

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of write, as a full disk is
  const riseml::runtime::Arguments arguments = riseml::runtime::ParseArguments(
      argc, argv, "riseml-loghandler", "Takes the logs of jobs, keeps them, and shows them to their owners.");
  return riseml::runtime::RunMain("loghandler", [&] { return riseml::loghandler::Run(arguments); });
}
