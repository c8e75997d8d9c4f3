// riseml-gitsync: stores the code of projects as git repositories and serves it.
#include <memory>
#include <string>

#include "riseml/config/v1/gitsync.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/open_calls.h"
#include "services/common/rpc/remote_authenticator.h"
#include "services/common/rpc/remover.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"
#include "services/gitsync/code_handler.h"
#include "services/gitsync/file_handler.h"
#include "services/gitsync/push.h"
#include "services/gitsync/registry_client.h"
#include "services/gitsync/repository/git_handle.h"
#include "services/gitsync/repository/repository_store.h"

namespace riseml::gitsync {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(10);

absl::Status CheckConfig(const config::v1::GitsyncConfig& config) {
  if (config.data_dir().empty()) return Error(Reason::kInvalidArgument, "the configuration names no data_dir");
  if (config.api_address().empty()) return Error(Reason::kInvalidArgument, "the configuration names no api_address");
  if (!rpc::HasAddress(config.user_listener()) || config.internal_listener().address().empty())
    return Error(Reason::kInvalidArgument,
                 "the configuration needs user_listener and internal_listener, each with an address");
  return absl::OkStatus();
}

absl::Status Run(const runtime::Arguments& arguments) {
  config::v1::GitsyncConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  RISEML_RETURN_IF_ERROR(CheckConfig(config));
  if (arguments.check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  const SystemClock clock;
  const Limits limits = LimitsOf(config);
  RISEML_ASSIGN_OR_RETURN(const auto library, GitLibrary::Start());
  RISEML_ASSIGN_OR_RETURN(const auto store, RepositoryStore::Open(config.data_dir()));
  RISEML_ASSIGN_OR_RETURN(const auto api, rpc::ServiceChannel(config.api_address(), config.client_tls()));
  rpc::RemoteAuthenticator authenticator(api, clock);
  rpc::OpenCalls open_calls(authenticator, api, clock);
  RegistryClient registry(api);
  Pusher pusher(*store, registry, limits, clock);
  StreamGuard user_streams({}, clock);
  // Few services call, and a node that unpacks much code reads slowly.
  StreamGuard service_streams({.per_user = 12, .reserved = 0, .patience = absl::Minutes(2)}, clock);
  const rpc::Remover remover(
      {.kind = internal::v1::ListRemovalsRequest::REPOSITORY,
       .remove = [&](const std::string& item) { return store->RemoveRepository(ProjectId{item}); }},
      api);
  FileHandler files({*store, registry, pusher, authenticator, open_calls, user_streams}, limits);
  CodeHandler code(*store, service_streams);

  const metrics::Exposer exposer(config.metrics_address());
  rpc::ServerOptions internal;
  internal.kind = rpc::ListenerKind::kInternal;
  internal.listener = config.internal_listener();
  internal.services = {&code};
  rpc::ServerOptions user;
  user.kind = rpc::ListenerKind::kUser;
  user.listener = config.user_listener();
  user.authenticator = &authenticator;
  user.services = {&files};
  RISEML_ASSIGN_OR_RETURN(const auto internal_server, rpc::Server::Start(internal));
  RISEML_ASSIGN_OR_RETURN(const auto user_server, rpc::Server::Start(user));
  runtime::StopGroup stops;
  stops.Add([&] { internal_server->Shutdown(kGrace); });
  stops.Add([&] { user_server->Shutdown(kGrace); });
  LogInfo("started", {{"user_port", user_server->port()}, {"internal_port", internal_server->port()}});
  runtime::WaitForSignal();
  return absl::OkStatus();
}

}  // namespace
}  // namespace riseml::gitsync

int main(int argc, char** argv) {
  const riseml::runtime::Arguments arguments = riseml::runtime::ParseArguments(
      argc, argv, "riseml-gitsync", "Receives the code of projects and serves it, as git repositories.");
  return riseml::runtime::RunMain("gitsync", [&] { return riseml::gitsync::Run(arguments); });
}
