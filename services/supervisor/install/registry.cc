#include "services/supervisor/install/registry.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/install/state.h"

namespace riseml::supervisor {
namespace {

// The names of service and issuer are those of builder (registry_tokens.h). Level error: the health checks of the
// supervisor have no token, and each would be a warning.
constexpr absl::string_view kRegistryTemplate =
    R"(# Written by `riseml up` at each start; changes made here are lost.
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: '@DATA@'
  delete:
    enabled: true
http:
  addr: @ADDRESS@
auth:
  token:
    realm: http://@TOKENS@/token
    service: riseml-registry
    issuer: riseml-builder
    rootcertbundle: '@AUTHORITY@'
)";

std::string TokenFile(const Layout& layout, absl::string_view name) {
  return absl::StrCat(layout.Certs(), "/", kTokenKeys, name);
}

}  // namespace

std::vector<std::string> RegistryCommand(const Layout& layout, const std::string& docker_registry) {
  return {docker_registry, "serve", layout.Config(kRegistry)};
}

std::string MakeRegistryConfig(const Layout& layout, const config::v1::SupervisorState& state) {
  return absl::StrReplaceAll(kRegistryTemplate,
                             {{"@DATA@", layout.Registry()},
                              {"@ADDRESS@", AddressOf(state, kRegistry)},
                              {"@TOKENS@", AddressOf(state, kTokenListener)},
                              {"@AUTHORITY@", absl::StrCat(layout.Certs(), "/", kTokenAuthority, ".crt")}});
}

config::v1::Images ImagesOf(const Layout& layout, const config::v1::SupervisorState& state) {
  config::v1::Images images;
  images.set_registry(AddressOf(state, kRegistry));
  images.set_plain_http(true);
  images.set_token_key_file(TokenFile(layout, ".key"));
  images.set_token_certificate_file(TokenFile(layout, ".crt"));
  images.set_token_address(AddressOf(state, kTokenListener));
  images.set_spool_dir(layout.Spool());
  images.set_registry_dir(layout.Registry());
  *images.mutable_allowed_registries() = state.allowed_registries();
  *images.mutable_private_registries() = state.private_registries();
  *images.mutable_registries_without_tls() = state.registries_without_tls();
  images.set_steps_without_network(state.steps_without_network());
  return images;
}

config::v1::Podman PodmanOf(const Layout& layout, const config::v1::SupervisorState& state) {
  config::v1::Podman podman;
  podman.set_storage_dir(layout.Containers());
  for (const absl::string_view listener : {kRegistry, kTokenListener}) podman.add_build_ports(PortOf(state, listener));
  for (absl::string_view registry : state.private_registries())
    if (int port = 0; absl::ConsumePrefix(&registry, "127.0.0.1:") && absl::SimpleAtoi(registry, &port))
      podman.add_build_ports(port);
  return podman;
}

}  // namespace riseml::supervisor
