// Consumer of the partitions of log records: claims those it is given, reads them into the ingest core, and gives them
// up again.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "riseml/config/v1/kafka.pb.h"
#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/base/clock.h"
#include "services/common/kafka/consumer.h"
#include "services/loghandler/ingest/ingest_core.h"
#include "services/loghandler/partitions/dead_letters.h"
#include "services/loghandler/partitions/partition_claims.h"
#include "services/loghandler/partitions/partition_owners.h"
#include "services/loghandler/partitions/partition_reader.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/store.h"

namespace riseml::loghandler {

struct PartitionConsumerOptions {
  config::v1::Kafka kafka;  // complete
  std::string group;
  internal::v1::PartitionClaim claim;  // without an instance: this is the only log handler, and has all partitions
  std::string store_dir;
  PartitionReaderOptions reader;
  absl::Duration look_at_owners = absl::Milliseconds(500);
  // Called by the consumer's thread when partitions have other owners than before.
  std::function<void()> on_owners_changed;
};

// A thread of its own does everything. While no broker can be reached, or the topic is missing, it tries again.
class PartitionConsumer {
 public:
  // References must outlive this object. The store must have been opened as shared if there is an instance.
  PartitionConsumer(PartitionConsumerOptions options, Store& store, IngestCore& core, PartitionOwners& owners,
                    LogMetrics& metrics, const Clock& clock);
  // Stops reading. The store must still run.
  ~PartitionConsumer();

 private:
  struct Partition {
    std::unique_ptr<PartitionReader> reader;
    std::deque<kafka::Record> waiting;  // received, in order
    absl::Time retry_at = absl::InfinitePast();
    bool seeking = false;        // records of before a seek may still come
    std::uint32_t last_crc = 0;  // not 0: of the record before the first one, which is read to compare it
    std::int64_t committed = 0;
  };

  bool IsSole() const { return options_.claim.instance().empty(); }
  void Run(const std::stop_token& stop);
  absl::Status Session(const std::stop_token& stop);
  absl::Status Connect();
  std::map<int, std::int64_t> Take(const std::vector<int>& partitions);
  void GiveUp();
  absl::Status TakeOne(int number, std::int64_t* position);
  absl::Status Poll(const std::stop_token& stop);
  void Receive(kafka::Record record);
  absl::Status Drain(int number, Partition& partition);
  absl::Status Compare(int number, Partition& partition, const kafka::Record& record);
  absl::Status Restart(int number, Partition& partition, const kafka::Watermarks& marks);
  bool IsLost(std::int64_t position, const kafka::Watermarks& marks) const;
  void BeginPasses();
  absl::Status SeekTo(int number, Partition& partition);
  void Report();
  void LookAtOwners();
  absl::StatusOr<kafka::Watermarks> Ask(int number);

  const PartitionConsumerOptions options_;
  Store& store_;
  IngestCore& core_;
  PartitionOwners& owners_;
  LogMetrics& metrics_;
  const Clock& clock_;
  PartitionClaims claims_;
  std::unique_ptr<DeadLetters> dead_letters_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::map<int, Partition> partitions_;
  std::map<int, std::string> others_;  // addresses of other owners, as last seen
  std::int64_t waiting_bytes_ = 0;     // of all partitions
  std::set<absl::StatusCode> told_errors_;
  absl::Status taken_;              // of the last assignment
  int missing_ = 0;                 // tries in a row that did not find the topic
  bool topic_was_missing_ = false;  // the topic that comes back is a new one
  absl::Time next_report_ = absl::InfinitePast();
  absl::Time next_look_ = absl::InfinitePast();
  std::jthread thread_;
};

}  // namespace riseml::loghandler
