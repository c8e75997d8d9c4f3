// LogService.Ingest: one call per shipper, acknowledged when bytes are durable. The LogSource that answers its
// producers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/executor.h"
#include "services/loghandler/ingest/ingest_core.h"
#include "services/loghandler/ingest/log_source.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/store.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

class IngestCall;

// Thread-safe. Turns the messages of a call into records; the token of the call names their stream. In an answer, a
// larger expected_offset than before means that everything before it is durable. The same expected_offset again means
// that a block or end was not stored because bytes before it are missing: go back to expected_offset.
class IngestHandler final : public LogSource {
 public:
  // `owns` says whether this process may store a stream. All must outlive this object.
  IngestHandler(Store& store, IngestCore& core, std::function<bool(const StreamId&)> owns, Executor& executor,
                LogMetrics& metrics)
      : store_(store), core_(core), owns_(std::move(owns)), executor_(executor), metrics_(metrics) {
    core_.Connect(*this);
  }

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(grpc::CallbackServerContext* context);

  const std::string& name() const override { return name_; }
  void GoBack(const StreamId& stream, std::int64_t expected_offset) override;
  void OnDurable(const Stream& stream) override;
  void OnPosition(std::int64_t) override {}

  // Ends all calls with SHUTTING_DOWN, and every later one.
  void Stop();

 private:
  friend class IngestCall;
  void Register(const StreamId& id, const std::shared_ptr<IngestCall>& call);
  void Unregister(const StreamId& id, const IngestCall* call);
  std::shared_ptr<IngestCall> CallOf(const StreamId& id);

  const std::string name_;  // empty: producers are asked where to go on
  Store& store_;
  IngestCore& core_;
  const std::function<bool(const StreamId&)> owns_;
  Executor& executor_;
  LogMetrics& metrics_;
  Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<StreamId, std::shared_ptr<IngestCall>> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::loghandler
