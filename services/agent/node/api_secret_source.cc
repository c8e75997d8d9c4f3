#include "riseml/v1/job.grpc.pb.h"
#include "services/agent/launch/secret_source.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxCaBytes = 1 << 20;
constexpr absl::Duration kFetchTimeout = absl::Seconds(10);

class ApiSecretSource final : public SecretSource {
 public:
  explicit ApiSecretSource(const std::shared_ptr<grpc::Channel>& channel) : stub_(v1::JobService::NewStub(channel)) {}

  absl::StatusOr<std::map<std::string, std::string>> Fetch(const std::string& token) override {
    const auto fetched = rpc::Invoke<v1::FetchSecretsResponse>(
        [&](grpc::ClientContext* context, v1::FetchSecretsResponse* response) {
          return stub_->FetchSecrets(context, v1::FetchSecretsRequest(), response);
        },
        {.timeout = kFetchTimeout, .tries = 1, .credential = token});
    RISEML_RETURN_IF_ERROR(While("fetch the secrets", fetched.status()));
    return std::map<std::string, std::string>(fetched->values().begin(), fetched->values().end());
  }

 private:
  const std::unique_ptr<v1::JobService::Stub> stub_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SecretSource>> MakeApiSecretSource(const config::v1::NodeConfig& config) {
  RISEML_ASSIGN_OR_RETURN(const std::string ca_pem, ReadFile(config.ca_file(), kMaxCaBytes));
  return std::unique_ptr<SecretSource>(
      std::make_unique<ApiSecretSource>(rpc::UserChannel(config.api_user_address(), ca_pem)));
}

}  // namespace riseml::agent
