// Handlers of NodeAgentService.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>

#include "riseml/internal/v1/node_agent.grpc.pb.h"
#include "riseml/v1/node.pb.h"
#include "services/agent/attempt/attempt_table.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Unary methods are synchronous, the watch is a reactor. Thread-safe.
class NodeService final
    : public internal::v1::NodeAgentService::WithCallbackMethod_WatchNode<internal::v1::NodeAgentService::Service> {
 public:
  // References must outlive this.
  NodeService(v1::Node node, AttemptReconciler& reconciler, AttemptTable& table,
              absl::Duration alive_interval = absl::Seconds(5));
  ~NodeService() override;

  grpc::Status StartAttempt(grpc::ServerContext* context, const internal::v1::StartAttemptRequest* request,
                            internal::v1::StartAttemptResponse* response) override;
  grpc::Status StopAttempt(grpc::ServerContext* context, const internal::v1::StopAttemptRequest* request,
                           internal::v1::StopAttemptResponse* response) override;
  grpc::Status ForgetAttempts(grpc::ServerContext* context, const internal::v1::ForgetAttemptsRequest* request,
                              internal::v1::ForgetAttemptsResponse* response) override;
  grpc::ServerWriteReactor<internal::v1::WatchNodeResponse>* WatchNode(
      grpc::CallbackServerContext* context, const internal::v1::WatchNodeRequest* request) override;

  // Sends the changed node to the watches.
  void SetNode(const v1::Node& node);

  // Ends all watches. Must be called before the server is shut down.
  void StopWatches();

 private:
  class Watch;
  void Tick(std::stop_token stop);
  // If the node is newer than `version`, writes it into the message and updates `version`.
  bool TakeNode(std::int64_t* version, internal::v1::WatchNodeResponse* message);

  AttemptReconciler& reconciler_;
  AttemptTable& table_;
  const absl::Duration alive_interval_;
  Mutex node_mu_;  // separate from mu_, which is held while watches are told to continue
  v1::Node node_ ABSL_GUARDED_BY(node_mu_);
  std::int64_t node_version_ ABSL_GUARDED_BY(node_mu_) = 1;
  Mutex mu_;
  std::set<Watch*> watches_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::jthread ticker_;
};

}  // namespace riseml::agent
