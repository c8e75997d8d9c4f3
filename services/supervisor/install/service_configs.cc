#include "services/supervisor/install/service_configs.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>

#include "services/common/base/files/file.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/edge.h"
#include "services/supervisor/install/registry.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/install/state.h"

namespace riseml::supervisor {
namespace {

constexpr absl::string_view kNotice =
    "# Written by `riseml up` at each start from supervisor.json; changes made here are lost.\n";

std::string Cert(const Layout& layout, absl::string_view file) { return absl::StrCat(layout.Certs(), "/", file); }

config::v1::ClientTls ClientTlsOf(const Layout& layout, absl::string_view service) {
  config::v1::ClientTls tls;
  tls.set_ca_file(Cert(layout, "ca.crt"));
  tls.set_certificate_file(Cert(layout, absl::StrCat(service, ".crt")));
  tls.set_key_file(Cert(layout, absl::StrCat(service, ".key")));
  return tls;
}

// Users connect through the edge if there is one; processes of the installation through the socket.
config::v1::Listener UserListenerOf(const ConfigInput& input, absl::string_view service) {
  config::v1::Listener listener;
  const std::string name = absl::StrCat(service, ".user");
  if (!input.state.edge()) listener.set_address(AddressOf(input.state, name));
  listener.set_socket_address(SocketAddressOf(input.state, name));
  listener.set_certificate_file(Cert(input.layout, absl::StrCat(service, ".crt")));
  listener.set_key_file(Cert(input.layout, absl::StrCat(service, ".key")));
  return listener;
}

config::v1::Listener InternalListenerOf(const ConfigInput& input, absl::string_view service) {
  config::v1::Listener listener;
  listener.set_address(SocketAddressOf(input.state, absl::StrCat(service, ".internal")));
  listener.set_certificate_file(Cert(input.layout, absl::StrCat(service, ".crt")));
  listener.set_key_file(Cert(input.layout, absl::StrCat(service, ".key")));
  listener.set_client_ca_file(Cert(input.layout, "ca.crt"));
  return listener;
}

// Prints JSON, which is valid YAML, with the field names of the protos.
absl::StatusOr<std::string> Render(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok())
    return absl::InternalError("a configuration cannot be printed");
  return absl::StrCat(kNotice, json);
}

// Default limit: half of the disk, so that two users at their limits fit. It is rounded to whole GiB, because some file
// systems report a different size each day and a changed configuration restarts api.
std::int64_t UserMaxBytes(const ConfigInput& input) {
  constexpr std::int64_t kGib = std::int64_t{1} << 30;
  if (input.state.user_max_bytes() != 0) return input.state.user_max_bytes();
  return input.output_bytes == 0 ? -1 : std::max(input.output_bytes / 2 / kGib, std::int64_t{1}) * kGib;
}

}  // namespace

config::v1::ApiConfig MakeApiConfig(const ConfigInput& input) {
  config::v1::ApiConfig config;
  *config.mutable_user_listener() = UserListenerOf(input, "api");
  *config.mutable_internal_listener() = InternalListenerOf(input, "api");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "api");
  config.set_builder_address(SocketAddressOf(input.state, "builder.internal"));
  config.set_database(absl::StrCat("host='", input.state.postgres_socket_dir(), "' port=", input.state.postgres_port(),
                                   " dbname=riseml user=riseml"));
  config.set_metrics_address(AddressOf(input.state, "api.metrics"));
  config.set_token_key_file(input.layout.TokenKey());
  config.set_secret_key_file(input.layout.SecretKey());
  config.set_gitsync_address(AddressOf(input.state, "gitsync.user"));
  config.set_loghandler_address(AddressOf(input.state, "loghandler.user"));
  config.set_cluster_id(input.state.cluster_id());
  if (!input.state.edge()) config.add_notes(kNoEdge);
  config.set_mode("local");
  // These paths are shown to users, so they are the ones that users know.
  config.set_local_dir(input.layout.dir);
  config.set_output_dir(input.layout.dir + "/output");
  if (const std::int64_t days = input.state.environments_max_days(); days != 0)
    config.mutable_environments_max_age()->set_seconds(std::max<std::int64_t>(days, 0) * 24 * 3600);
  if (const std::int64_t gigabytes = input.state.environments_max_gigabytes(); gigabytes != 0)
    config.set_environments_max_bytes(gigabytes < 0 ? -1 : gigabytes * 1'000'000'000);
  config.set_user_max_experiments(input.state.user_max_experiments());
  config.set_user_max_bytes(UserMaxBytes(input));
  config.set_containers(input.state.podman());
  return config;
}

config::v1::GitsyncConfig MakeGitsyncConfig(const ConfigInput& input) {
  config::v1::GitsyncConfig config;
  *config.mutable_user_listener() = UserListenerOf(input, "gitsync");
  *config.mutable_internal_listener() = InternalListenerOf(input, "gitsync");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "gitsync");
  config.set_api_address(SocketAddressOf(input.state, "api.internal"));
  config.set_data_dir(input.layout.In("repositories"));
  config.set_metrics_address(AddressOf(input.state, "gitsync.metrics"));
  return config;
}

config::v1::BuilderConfig MakeBuilderConfig(const ConfigInput& input) {
  config::v1::BuilderConfig config;
  *config.mutable_internal_listener() = InternalListenerOf(input, "builder");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "builder");
  config.set_gitsync_address(SocketAddressOf(input.state, "gitsync.internal"));
  config.set_environments_dir(input.layout.In("environments"));
  config.set_metrics_address(AddressOf(input.state, "builder.metrics"));
  config.set_python_client_dir(input.python_client_dir);
  config.mutable_interpreter_dirs()->Assign(input.interpreter_dirs.begin(), input.interpreter_dirs.end());
  if (input.state.podman()) {
    config.set_api_address(SocketAddressOf(input.state, "api.internal"));
    *config.mutable_images() = ImagesOf(input.layout, input.state);
  }
  return config;
}

config::v1::LoghandlerConfig MakeLoghandlerConfig(const ConfigInput& input) {
  config::v1::LoghandlerConfig config;
  *config.mutable_user_listener() = UserListenerOf(input, "loghandler");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "loghandler");
  config.set_api_address(SocketAddressOf(input.state, "api.internal"));
  config.set_data_dir(input.layout.In("log-store"));
  config.set_metrics_address(AddressOf(input.state, "loghandler.metrics"));
  if (input.state.has_kafka()) *config.mutable_kafka() = input.state.kafka();
  return config;
}

config::v1::NodeConfig MakeNodeConfig(const ConfigInput& input) {
  config::v1::NodeConfig config;
  *config.mutable_internal_listener() = InternalListenerOf(input, "agent");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "agent");
  config.set_gitsync_address(SocketAddressOf(input.state, "gitsync.internal"));
  config.set_api_address(SocketAddressOf(input.state, "api.internal"));
  config.set_name(kNodeName);
  config.set_data_dir(input.layout.In("node"));
  config.set_volume_data_dir(input.layout.In("data"));
  config.set_volume_output_dir(input.layout.In("output"));
  config.set_environments_dir(input.layout.In("environments"));
  config.set_python_client_dir(input.python_client_dir);
  config.set_api_user_address(SocketAddressOf(input.state, "api.user"));
  config.set_loghandler_user_address(SocketAddressOf(input.state, "loghandler.user"));
  config.set_ca_file(Cert(input.layout, "ca.crt"));
  config.set_metrics_address(AddressOf(input.state, "agent.metrics"));
  if (input.state.has_kafka()) *config.mutable_kafka() = input.state.kafka();
  config.set_isolation("auto");
  config.set_installation_dir(input.layout.dir);
  *config.mutable_data_paths() = input.state.data_paths();
  if (const std::int64_t seconds = input.state.build_max_seconds(); seconds != 0)
    config.mutable_build_time_limit()->set_seconds(seconds);
  config.set_build_bytes_limit(input.state.build_max_bytes());
  if (input.state.podman()) *config.mutable_podman() = PodmanOf(input.layout, input.state);
  config.mutable_interpreter_dirs()->Assign(input.interpreter_dirs.begin(), input.interpreter_dirs.end());
  return config;
}

config::v1::SchedulerConfig MakeSchedulerConfig(const ConfigInput& input) {
  config::v1::SchedulerConfig config;
  *config.mutable_internal_listener() = InternalListenerOf(input, "scheduler");
  *config.mutable_client_tls() = ClientTlsOf(input.layout, "scheduler");
  config.set_api_address(SocketAddressOf(input.state, "api.internal"));
  config.set_builder_address(SocketAddressOf(input.state, "builder.internal"));
  config::v1::LocalNode* node = config.add_nodes();
  node->set_name(kNodeName);
  node->set_address(SocketAddressOf(input.state, "agent.internal"));
  config.set_holder("scheduler-local");
  config.mutable_impossible_after();  // 0s: no node will ever join
  config.set_metrics_address(AddressOf(input.state, "scheduler.metrics"));
  return config;
}

config::v1::ClientTls SupervisorTls(const Layout& layout) { return ClientTlsOf(layout, "supervisor"); }

absl::StatusOr<std::map<std::string, std::string>> RenderConfigs(const ConfigInput& input) {
  std::map<std::string, std::string> texts;
  RISEML_ASSIGN_OR_RETURN(texts["api"], Render(MakeApiConfig(input)));
  RISEML_ASSIGN_OR_RETURN(texts["gitsync"], Render(MakeGitsyncConfig(input)));
  RISEML_ASSIGN_OR_RETURN(texts["builder"], Render(MakeBuilderConfig(input)));
  RISEML_ASSIGN_OR_RETURN(texts["loghandler"], Render(MakeLoghandlerConfig(input)));
  RISEML_ASSIGN_OR_RETURN(texts["agent"], Render(MakeNodeConfig(input)));
  RISEML_ASSIGN_OR_RETURN(texts["scheduler"], Render(MakeSchedulerConfig(input)));
  if (input.state.edge()) texts[std::string(kEdge)] = MakeEdgeConfig(input.layout, input.state, input.max_files);
  if (input.state.podman()) texts[std::string(kRegistry)] = MakeRegistryConfig(input.layout, input.state);
  return texts;
}

absl::Status WriteConfigs(const Layout& layout, const std::map<std::string, std::string>& texts) {
  for (const auto& [service, text] : texts) {
    const std::string path = service == kEdge ? layout.EdgeConfig() : layout.Config(service);
    const absl::StatusOr<std::string> present = ReadFile(path, 1 << 20);
    if (present.ok() && *present == text) continue;
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(path, text, 0600));
  }
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
