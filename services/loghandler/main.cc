// riseml-loghandler: takes the logs of jobs, keeps them, and shows them to their owners.
#include <google/protobuf/util/time_util.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "riseml/config/v1/loghandler.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/settings.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"
#include "services/loghandler/loghandler.h"

namespace riseml::loghandler {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(2);  // for the last message of open calls
constexpr absl::Duration kTopicsTimeout = absl::Seconds(30);

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

absl::StatusOr<PartitionConsumerOptions> PartitionsOf(const config::v1::LoghandlerConfig& config) {
  PartitionConsumerOptions options;
  RISEML_ASSIGN_OR_RETURN(options.kafka, kafka::Complete(config.kafka()));
  options.group = config.consumer_group().empty() ? "riseml-loghandler" : config.consumer_group();
  options.claim.set_instance(config.instance());
  options.claim.set_address(config.public_address());
  if (config.instance().empty() == config.public_address().empty()) return options;
  return Error(Reason::kInvalidArgument,
               "instance and public_address need each other: several log handlers name each "
               "other to readers");
}

absl::Status Run(const runtime::Arguments& arguments) {
  config::v1::LoghandlerConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  RISEML_RETURN_IF_ERROR(CheckConfig(config));
  LogHandlerOptions options;
  if (config.has_kafka()) {
    RISEML_ASSIGN_OR_RETURN(options.partitions, PartitionsOf(config));
  }
  if (arguments.check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  const SystemClock clock;
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

// Makes the topics, once for each installation. Needs the rights of an administrator of Kafka.
absl::Status CreateTopics(const runtime::Arguments& arguments) {
  config::v1::LoghandlerConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  RISEML_ASSIGN_OR_RETURN(const config::v1::Kafka settings, kafka::Complete(config.kafka()));
  return kafka::CreateTopics(settings, kTopicsTimeout);
}

}  // namespace
}  // namespace riseml::loghandler

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of write, as a full disk is
  if (argc > 1 && absl::string_view(argv[1]) == "create-topics") {
    const riseml::runtime::Arguments arguments = riseml::runtime::ParseArguments(
        argc - 1, argv + 1, "riseml-loghandler create-topics", "Makes the topics that logs go through.");
    return riseml::runtime::RunMain("loghandler", [&] { return riseml::loghandler::CreateTopics(arguments); });
  }
  const riseml::runtime::Arguments arguments = riseml::runtime::ParseArguments(
      argc, argv, "riseml-loghandler", "Takes the logs of jobs, keeps them, and shows them to their owners.");
  return riseml::runtime::RunMain("loghandler", [&] { return riseml::loghandler::Run(arguments); });
}
