#include "services/builder/image/image_parts.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "riseml/internal/v1/registry_credential.grpc.pb.h"
#include "services/builder/image/base_images.h"
#include "services/builder/image/code_layers.h"
#include "services/builder/image/environment_images.h"
#include "services/builder/image/image_backend.h"
#include "services/builder/image/image_maker.h"
#include "services/builder/image/registry_access.h"
#include "services/builder/image/registry_tokens.h"
#include "services/builder/image/token_endpoint.h"
#include "services/builder/registry/blob_sweep.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/registry.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/remote_authenticator.h"

namespace riseml::builder {
namespace {

constexpr std::int64_t kMaxKeyBytes = 1 << 20;
constexpr absl::Duration kApiTimeout = absl::Seconds(2);
constexpr char kDefaultImage[] = "docker.io/library/python:3.11";

std::vector<std::string> Words(const google::protobuf::RepeatedPtrField<std::string>& list) {
  return {list.begin(), list.end()};
}

RegistryPolicy PolicyOf(const config::v1::Images& images) {
  RegistryPolicy policy;
  policy.allowed.insert(images.allowed_registries().begin(), images.allowed_registries().end());
  policy.without_tls.insert(images.registries_without_tls().begin(), images.registries_without_tls().end());
  return policy;
}

class Parts final : public ImageParts {
 public:
  Parts(const config::v1::BuilderConfig& config, std::unique_ptr<RegistryTokens> tokens,
        const std::shared_ptr<grpc::Channel>& gitsync, const std::shared_ptr<grpc::Channel>& api, const Clock& clock)
      : tokens_(std::move(tokens)),
        users_(api, clock),
        credentials_(internal::v1::RegistryCredentialService::NewStub(api)),
        own_http_({.private_hosts = {config.images().registry()}}),
        base_http_({.private_hosts = Words(config.images().private_registries())}),
        registry_(own_http_, clock,
                  {.host = config.images().registry(),
                   .plain_http = config.images().plain_http(),
                   .issue = tokens_->Issuer()}),
        code_(gitsync),
        maker_(registry_, code_, config.images().spool_dir()),
        bases_(base_http_, clock, PolicyOf(config.images()), oci::OwnPlatform(), &registry_),
        environments_(registry_),
        backend_(
            {.default_image =
                 config.images().default_image().empty() ? std::string(kDefaultImage) : config.images().default_image(),
             .environments_dir = config.environments_dir(),
             .policy = PolicyOf(config.images()),
             .plain_http = config.images().plain_http(),
             .steps_without_network = config.images().steps_without_network()},
            {bases_, environments_, maker_, *tokens_, [this](const std::string& owner_uid, const std::string& host) {
               return FindCredentialOf(owner_uid, host);
             }}) {
    backend_.Sweep(clock.Now());
    if (const std::string& files = config.images().registry_dir(); !files.empty()) sweeper_.emplace(files, clock);
  }

  absl::Status Listen(const std::string& address) {
    TokenEndpointOptions options;
    options.address = address;
    RISEML_ASSIGN_OR_RETURN(endpoint_, TokenEndpoint::Start(options, *tokens_, [this](const TokenRequest& request) {
                              return GrantAccess(request, *tokens_, users_);
                            }));
    return absl::OkStatus();
  }

  EnvironmentBackend& backend() override { return backend_; }

 private:
  absl::StatusOr<std::optional<oci::Credential>> FindCredentialOf(const std::string& owner_uid,
                                                                  const std::string& host) {
    internal::v1::FindRegistryCredentialRequest request;
    request.set_user_uid(owner_uid);
    request.set_host(host);
    const auto found = rpc::Invoke<internal::v1::FindRegistryCredentialResponse>(
        [&](auto* c, auto* r) { return credentials_->FindRegistryCredential(c, request, r); },
        {.timeout = kApiTimeout, .tries = 1});
    if (absl::IsNotFound(found.status())) return std::optional<oci::Credential>();
    if (!found.ok()) return While(absl::StrCat("find the credential for ", host), found.status());
    return std::optional<oci::Credential>({found->username(), found->password()});
  }

  const std::unique_ptr<RegistryTokens> tokens_;
  rpc::RemoteAuthenticator users_;
  const std::unique_ptr<internal::v1::RegistryCredentialService::Stub> credentials_;
  oci::CurlHttp own_http_, base_http_;
  oci::Registry registry_;
  GitsyncCodeLayers code_;
  ImageMaker maker_;
  BaseImages bases_;
  EnvironmentImages environments_;
  ImageBackend backend_;
  std::optional<BlobSweeper> sweeper_;
  std::unique_ptr<TokenEndpoint> endpoint_;  // must be last: its requests use the others
};

}  // namespace

absl::Status CheckImages(const config::v1::BuilderConfig& config) {
  const config::v1::Images& images = config.images();
  std::vector<std::string> problems;
  const auto require = [&problems](bool holds, absl::string_view what) {
    if (!holds) problems.emplace_back(what);
  };
  require(!config.api_address().empty(), "api_address must be set");
  require(!images.registry().empty(), "images.registry must be set");
  require(!images.token_key_file().empty(), "images.token_key_file must be set");
  require(!images.token_certificate_file().empty(), "images.token_certificate_file must be set");
  require(!images.token_address().empty(), "images.token_address must be set");
  require(absl::StartsWith(images.spool_dir(), "/"), "images.spool_dir must be an absolute path");
  require(images.registry_dir().empty() || absl::StartsWith(images.registry_dir(), "/"),
          "images.registry_dir must be an absolute path");
  if (problems.empty()) return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("configuration: ", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<std::unique_ptr<ImageParts>> StartImages(const config::v1::BuilderConfig& config,
                                                        const std::shared_ptr<grpc::Channel>& gitsync,
                                                        const std::shared_ptr<grpc::Channel>& api, const Clock& clock) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(config.images().spool_dir()));
  RISEML_ASSIGN_OR_RETURN(const std::string key, ReadFile(config.images().token_key_file(), kMaxKeyBytes));
  RISEML_ASSIGN_OR_RETURN(const std::string certificate,
                          ReadFile(config.images().token_certificate_file(), kMaxKeyBytes));
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<RegistryTokens> tokens, RegistryTokens::Create(key, certificate, clock));
  auto parts = std::make_unique<Parts>(config, std::move(tokens), gitsync, api, clock);
  RISEML_RETURN_IF_ERROR(parts->Listen(config.images().token_address()));
  return parts;
}

}  // namespace riseml::builder
