// riseml-builder: resolves the software environment of a job and the steps that make it.
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "riseml/config/v1/builder.pb.h"
#include "services/builder/builder_service.h"
#include "services/builder/code_files.h"
#include "services/builder/environment/directory_backend.h"
#include "services/builder/environment/interpreter.h"
#include "services/builder/image/image_parts.h"
#include "services/builder/resolver.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/python_versions.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/event_engine.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"

namespace riseml::builder {
namespace {

constexpr int kDirectoryFormat = 1;
constexpr std::size_t kCachedBytes = 32 << 20;

absl::Status Check(const config::v1::BuilderConfig& config) {
  std::string problems;
  const auto require = [&](bool holds, absl::string_view what) {
    if (!holds) absl::StrAppend(&problems, problems.empty() ? "" : "; ", what);
  };
  require(!config.internal_listener().address().empty(), "internal_listener.address must be set");
  require(!config.gitsync_address().empty(), "gitsync_address must be set");
  require(absl::StartsWith(config.environments_dir(), "/"), "environments_dir must be an absolute path");
  require(absl::StartsWith(config.python(), "/"), "python must be an absolute path");
  if (!problems.empty()) return Error(Reason::kInvalidArgument, absl::StrCat("configuration: ", problems));
  return config.has_images() ? CheckImages(config) : absl::OkStatus();
}

// Environments that are directories of Python.
absl::StatusOr<std::unique_ptr<DirectoryBackend>> MakeDirectoryBackend(const config::v1::BuilderConfig& config) {
  Installation installation{.environments_dir = config.environments_dir(),
                            .python = config.python(),
                            .python_version = PythonVersion(config.python()),
                            .client_dir = "",
                            .client_digest = "",
                            .interpreter_dirs = {config.interpreter_dirs().begin(), config.interpreter_dirs().end()}};
  if (!installation.python_version.ok())
    LogError("python_unusable", {{"error", installation.python_version.status().message()}});
  RISEML_ASSIGN_OR_RETURN(installation.client_dir, FindPackage(config.python_client_dir()));
  RISEML_ASSIGN_OR_RETURN(installation.client_digest, PackageDigest(installation.client_dir));
  auto backend = std::make_unique<DirectoryBackend>(std::move(installation));
  RISEML_RETURN_IF_ERROR(backend->Sweep(SystemClock().Now()));
  return backend;
}

absl::Status Run(const runtime::Arguments& arguments) {
  config::v1::BuilderConfig config;
  RISEML_RETURN_IF_ERROR(config::LoadConfig(arguments.config_file, &config));
  if (config.python().empty()) config.set_python("/usr/bin/python3");
  RISEML_RETURN_IF_ERROR(Check(config));
  if (arguments.check_only) return absl::OkStatus();
  rpc::InstallEventEngine();

  RISEML_RETURN_IF_ERROR(MakeDirectories(config.environments_dir()));
  RISEML_RETURN_IF_ERROR(CheckFormat(config.environments_dir(), "environments", kDirectoryFormat));
  RISEML_ASSIGN_OR_RETURN(const auto channel, rpc::ServiceChannel(config.gitsync_address(), config.client_tls()));
  const SystemClock clock;
  std::unique_ptr<ImageParts> images;
  std::unique_ptr<DirectoryBackend> directories;
  if (config.has_images()) {
    RISEML_ASSIGN_OR_RETURN(const auto api, rpc::ServiceChannel(config.api_address(), config.client_tls()));
    RISEML_ASSIGN_OR_RETURN(images, StartImages(config, channel, api, clock));
  } else {
    RISEML_ASSIGN_OR_RETURN(directories, MakeDirectoryBackend(config));
  }
  EnvironmentBackend& backend = images != nullptr ? images->backend() : *directories;
  GitsyncCodeFiles gitsync(channel);
  CachedCodeFiles files(gitsync, kCachedBytes);
  Resolver resolver(files, backend);
  BuilderMetrics metrics(*metrics::ProcessRegistry());
  BuilderHandler handler(resolver, backend, metrics);

  const metrics::Exposer exposer(config.metrics_address());
  rpc::ServerOptions options;
  options.kind = rpc::ListenerKind::kInternal;
  options.listener = config.internal_listener();
  options.services = {&handler};
  RISEML_ASSIGN_OR_RETURN(const auto server, rpc::Server::Start(std::move(options)));
  LogInfo("started", {{"port", server->port()},
                      {"environments", config.has_images() ? config.images().registry() : config.environments_dir()}});
  runtime::WaitForSignal();
  server->Shutdown(absl::Seconds(5));
  return absl::OkStatus();
}

}  // namespace
}  // namespace riseml::builder

int main(int argc, char** argv) {
  const auto arguments = riseml::runtime::ParseArguments(argc, argv, "riseml-builder",
                                                         "Tells what software a job finds, and how to make it.");
  return riseml::runtime::RunMain("builder", [&] { return riseml::builder::Run(arguments); });
}
