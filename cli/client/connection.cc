#include "cli/client/connection.h"

#include <grpc/support/log.h>
#include <stdlib.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/version.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

// Major and minor part; nothing for other text.
std::optional<std::pair<int, int>> MajorMinor(absl::string_view version) {
  const std::vector<absl::string_view> parts = absl::StrSplit(version, '.');
  int major = 0, minor = 0;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &major) || !absl::SimpleAtoi(parts[1], &minor))
    return std::nullopt;
  return std::make_pair(major, minor);
}

}  // namespace

absl::Status CheckVersion(absl::string_view client_version, const v1::ClusterInfo& cluster) {
  const auto client = MajorMinor(client_version);
  const auto oldest = MajorMinor(cluster.oldest_client_version());
  const auto newest = MajorMinor(cluster.newest_client_version());
  if (client && oldest && *client < *oldest) {
    return absl::FailedPreconditionError(
        absl::StrCat("this riseml is version ", client_version, ", but the server (version ", cluster.server_version(),
                     ") works with ", cluster.oldest_client_version(), " or newer; install a newer riseml"));
  }
  if (client && newest && *client > *newest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this riseml is version ", client_version, ", but the server (version ", cluster.server_version(),
        ") works with ", cluster.newest_client_version(), " or older; upgrade the server or install an older riseml"));
  }
  return absl::OkStatus();
}

namespace {

// gRPC prints failed handshakes on standard error by itself. Here a status reports them; GRPC_VERBOSITY turns the
// prints on again.
std::shared_ptr<grpc::Channel> QuietChannel(const ClientConfig& config, const std::string& address) {
  if (getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  return rpc::UserChannel(address, config.ca_pem);
}

}  // namespace

Connection::Connection(ClientConfig config)
    : config_(std::move(config)),
      api_(QuietChannel(config_, config_.api_address)),
      experiments_(v1::ExperimentService::NewStub(api_)),
      jobs_(v1::JobService::NewStub(api_)),
      users_(v1::UserService::NewStub(api_)),
      nodes_(v1::NodeService::NewStub(api_)),
      projects_(v1::ProjectService::NewStub(api_)),
      secrets_(v1::SecretService::NewStub(api_)),
      registries_(v1::RegistryService::NewStub(api_)),
      environments_(v1::EnvironmentService::NewStub(api_)),
      clusters_(v1::ClusterService::NewStub(api_)) {}

absl::StatusOr<v1::ClusterInfo> Connection::Cluster() {
  if (cluster_) return *cluster_;
  v1::GetClusterInfoRequest request;
  request.set_client_version(kVersion);
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, Call<v1::ClusterInfo>([&](auto* context, auto* out) {
                            return clusters_->GetClusterInfo(context, request, out);
                          }));
  RISEML_RETURN_IF_ERROR(CheckVersion(kVersion, cluster));
  cluster_ = cluster;
  return cluster;
}

std::shared_ptr<grpc::Channel> Connection::Channel(const std::string& address) const {
  return rpc::UserChannel(address, config_.ca_pem);
}

std::string Connection::PrepareStream(grpc::ClientContext& context) const {
  std::string request_id = NewUuid();
  rpc::Prepare(context, absl::InfiniteDuration(), request_id, config_.api_key);
  return request_id;
}

}  // namespace riseml::cli
