// The log handler as a whole: store, handlers and server, started and stopped in the right order.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/config/v1/common.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/open_calls.h"
#include "services/common/rpc/remote_authenticator.h"
#include "services/common/rpc/remover.h"
#include "services/common/rpc/server.h"
#include "services/loghandler/follow/follow_handler.h"
#include "services/loghandler/follow/stream_owners.h"
#include "services/loghandler/ingest/ingest_core.h"
#include "services/loghandler/ingest/ingest_handler.h"
#include "services/loghandler/partitions/partition_consumer.h"
#include "services/loghandler/registry_client.h"
#include "services/loghandler/service.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/store.h"

namespace riseml::loghandler {

struct LogHandlerOptions {
  StoreOptions store;
  FollowOptions follow;
  RegistryOptions registry;
  std::shared_ptr<const StreamOwners> owners = std::make_shared<SoleOwner>();  // without partitions
  std::optional<PartitionConsumerOptions> partitions;                          // if logs come over Kafka, too
  absl::Duration removal_pause = absl::Seconds(5);                             // between looks for deleted experiments
  config::v1::Listener user_listener;
  std::shared_ptr<grpc::Channel> api;  // to api's internal listener
};

// Lives on one thread.
class LogHandler {
 public:
  // `clock` must outlive this object.
  static absl::StatusOr<std::unique_ptr<LogHandler>> Start(LogHandlerOptions options, const Clock& clock,
                                                           prometheus::Registry& metrics);
  ~LogHandler() { Stop(absl::ZeroDuration()); }

  int port() const { return server_->port(); }

  // Ends open calls with SHUTTING_DOWN, gives them `grace` to end, and stores pending bytes. Idempotent.
  void Stop(absl::Duration grace);

 private:
  explicit LogHandler(prometheus::Registry& metrics);

  LogMetrics metrics_;
  std::shared_ptr<const StreamOwners> owners_;
  ThreadExecutor writers_;  // of blocks
  ThreadExecutor readers_;  // for followers
  std::unique_ptr<Store> store_;
  std::unique_ptr<rpc::RemoteAuthenticator> authenticator_;
  std::unique_ptr<rpc::OpenCalls> open_calls_;
  std::unique_ptr<RegistryClient> registry_;
  std::unique_ptr<IngestCore> core_;
  std::unique_ptr<IngestHandler> ingest_;
  std::unique_ptr<FollowHandler> follow_;
  std::unique_ptr<LogServiceAdapter> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Remover> remover_;
  std::unique_ptr<PartitionConsumer> partitions_;
};

}  // namespace riseml::loghandler
