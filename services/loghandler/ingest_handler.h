// LogService.Ingest: one call a shipper, acknowledged when bytes are durable.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/container/flat_hash_map.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/executor.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/log_metrics.h"
#include "services/loghandler/store.h"
#include "services/loghandler/stream_id.h"

namespace riseml::loghandler {

class IngestCall;

// Thread-safe. What an answer means to a shipper: expected_offset larger than before: everything before it is durable;
// the same again: a block or end was not stored because bytes before it are missing, go back to expected_offset.
class IngestHandler {
 public:
  // `store`, `executor` and `metrics` outlive this.
  IngestHandler(Store& store, Executor& executor, LogMetrics& metrics)
      : store_(store), executor_(executor), metrics_(metrics) {}

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(grpc::CallbackServerContext* context);

  // Something of a stream has become durable. Does not block.
  void OnDurable(const StreamId& id);

  // Ends all calls with SHUTTING_DOWN, and every later one.
  void Stop();

 private:
  friend class IngestCall;
  void Register(const StreamId& id, const std::shared_ptr<IngestCall>& call);
  void Unregister(const StreamId& id, const IngestCall* call);

  Store& store_;
  Executor& executor_;
  LogMetrics& metrics_;
  Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<StreamId, std::shared_ptr<IngestCall>> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::loghandler
