// Interface between the contract suite of log sources and each kind of source.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "riseml/internal/v1/log_record.pb.h"
#include "services/common/base/clock.h"
#include "services/loghandler/ingest/ingest_core.h"
#include "services/loghandler/testing/fake_disk.h"
#include "services/loghandler/testing/test_support.h"

namespace riseml::loghandler {

// A source with its producers, on a store that can be stopped and started. Lives on one thread.
class SourceRig {
 public:
  virtual ~SourceRig() = default;

  // A stream that will print `log`.
  virtual StreamId Add(const std::string& log) = 0;
  // A producer of the stream sends these bytes of its log, or the end; what it sent before keeps its order.
  virtual void Send(const StreamId& id, std::int64_t first, std::int64_t length) = 0;
  virtual void SendEnd(const StreamId& id) = 0;

  // Starts store and source on `dir`, or stops them. Producers and what they sent stay.
  virtual void Start() = 0;
  virtual void Stop() = 0;

  // Waits until so many bytes of a stream are durable.
  virtual void AwaitDurable(const StreamId& id, std::int64_t bytes) = 0;
  // Waits until every stream is complete. False when the disk crashed before.
  virtual bool AwaitComplete() = 0;
  // Checks that nothing is told, or noted, to be durable that this store does not hold.
  virtual void ExpectNoPromiseIsBroken(Store& store) = 0;

  std::string data_dir() const { return dir_.path() + "/data"; }

  TempDir dir_;
  const SystemClock clock_{};
  const std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  StoreOptions options_;
  std::map<StreamId, std::string> logs_;
};

inline internal::v1::LogRecord EmptyRecord(const StreamId& id) {
  internal::v1::LogRecord record;
  record.set_job_uid(id.job_uid);
  record.set_attempt(id.attempt);
  return record;
}

// A source that answers: LogService.Ingest of a whole log handler over TLS.
std::unique_ptr<SourceRig> MakeCallRig();
// A source that seeks: a partition in memory.
std::unique_ptr<SourceRig> MakePartitionRig();
// A source that seeks: a partition of a real Kafka broker, which all rigs of a process share.
std::unique_ptr<SourceRig> MakeKafkaRig();

}  // namespace riseml::loghandler
