// The servers of one context: stubs, credentials, request ids.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/client/errors.h"
#include "cli/client/wait_notice.h"
#include "riseml/v1/cluster.grpc.pb.h"
#include "riseml/v1/environment.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/log.grpc.pb.h"
#include "riseml/v1/node.grpc.pb.h"
#include "riseml/v1/project.grpc.pb.h"
#include "riseml/v1/registry.grpc.pb.h"
#include "riseml/v1/secret.grpc.pb.h"
#include "riseml/v1/user.grpc.pb.h"
#include "services/common/base/id.h"
#include "services/common/client_config/client_config.h"
#include "services/common/rpc/channel.h"

namespace riseml::cli {

// Returns an error if the server does not support this client version. The message says which side to upgrade.
absl::Status CheckVersion(absl::string_view client_version, const v1::ClusterInfo& cluster);

// Connects at the first call. Lives on one thread; its stubs may be used on any thread.
class Connection {
 public:
  explicit Connection(ClientConfig config);

  const ClientConfig& config() const { return config_; }
  const std::string& caller() const { return config_.user; }

  v1::ExperimentService::Stub& experiments() { return *experiments_; }
  v1::JobService::Stub& jobs() { return *jobs_; }
  v1::UserService::Stub& users() { return *users_; }
  v1::NodeService::Stub& nodes() { return *nodes_; }
  v1::ProjectService::Stub& projects() { return *projects_; }
  v1::SecretService::Stub& secrets() { return *secrets_; }
  v1::RegistryService::Stub& registries() { return *registries_; }
  v1::EnvironmentService::Stub& environments() { return *environments_; }

  // Returns the facts that the cluster reports about itself; asks once. Fails if the cluster does not work with this
  // client version.
  absl::StatusOr<v1::ClusterInfo> Cluster();

  // Channel to any user listener of the cluster.
  std::shared_ptr<grpc::Channel> Channel(const std::string& address) const;

  // Calls an idempotent unary method of api. Retries for some seconds while api does not answer, and says that it
  // waits. Errors carry address and request id.
  //   connection.Call<v1::User>([&](auto* context, auto* out) { return connection.users().GetUser(context, request,
  //   out); })
  template <class Response, class Body>
  absl::StatusOr<Response> Call(Body&& body) const {
    const WaitNotice notice("API", config_.api_address);
    return CallWith<Response>({.tries = rpc::kPatientTries}, std::forward<Body>(body));
  }

  // The same for a method that may work for a minute; `doing` is shown after a second, e.g. "removing 3f2a91c0…".
  template <class Response, class Body>
  absl::StatusOr<Response> CallAtLength(absl::string_view doing, Body&& body) const {
    const WaitNotice notice(doing);
    return CallWith<Response>({.timeout = kLongCall, .tries = rpc::kPatientTries}, std::forward<Body>(body));
  }

  // The same for a method that is not idempotent: calls it once.
  template <class Response, class Body>
  absl::StatusOr<Response> CallOnce(Body&& body) const {
    const WaitNotice notice("API", config_.api_address);
    return CallWith<Response>({.tries = 1}, std::forward<Body>(body));
  }

  // Prepares the context of a stream and returns its request id. A stream has no deadline.
  std::string PrepareStream(grpc::ClientContext& context) const;

 private:
  static constexpr absl::Duration kLongCall = absl::Seconds(70);

  template <class Response, class Body>
  absl::StatusOr<Response> CallWith(rpc::CallOptions options, Body&& body) const {
    options.request_id = NewUuid();
    options.credential = config_.api_key;
    options.channel = api_;
    auto response = rpc::Invoke<Response>(std::forward<Body>(body), options);
    if (!response.ok()) return WithCall(response.status(), "API", config_.api_address, options.request_id);
    return response;
  }

  ClientConfig config_;
  std::shared_ptr<grpc::Channel> api_;
  std::unique_ptr<v1::ExperimentService::Stub> experiments_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::UserService::Stub> users_;
  std::unique_ptr<v1::NodeService::Stub> nodes_;
  std::unique_ptr<v1::ProjectService::Stub> projects_;
  std::unique_ptr<v1::SecretService::Stub> secrets_;
  std::unique_ptr<v1::RegistryService::Stub> registries_;
  std::unique_ptr<v1::EnvironmentService::Stub> environments_;
  std::unique_ptr<v1::ClusterService::Stub> clusters_;
  std::optional<v1::ClusterInfo> cluster_;
};

}  // namespace riseml::cli
