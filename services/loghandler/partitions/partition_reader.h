// LogSource that reads one partition of a message log: decides what becomes of each record and where to read next.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/loghandler/ingest/ingest_core.h"
#include "services/loghandler/ingest/log_source.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

struct PartitionReaderOptions {
  absl::Duration search_delay = absl::Milliseconds(200);  // streams that lack bytes are searched for together
  absl::Duration patience = absl::Seconds(5);             // missing bytes may still come for so long
  std::size_t most_parked = 10'000;                       // beyond it, missing bytes are not waited for
};

// Hands records to the ingest core in the order of the partition. A stream whose bytes are missing is parked: its
// records stay undone while the others go on. Once the partition has been searched from its oldest record on and
// `patience` is over, the missing bytes are stored as a gap.
//
// To read again is a pass: from a lower position up to the frontier, where reading had come before. In a pass only
// records of parked streams are handed in. So a pass brings back nothing that was removed meanwhile.
//
// Used by one thread, but for durable_position.
class PartitionReader final : public LogSource {
 public:
  static constexpr std::int64_t kOldest = -1;
  // Receives records that can never be stored.
  using DeadLetter = std::function<void(std::int64_t position, absl::string_view bytes, const absl::Status& why)>;

  enum class Step {
    kNext,   // the record is done with, or set aside: read next()
    kWait,   // hand the same record in again when more is durable
    kRetry,  // the same, but after a longer pause: an error that may pass
  };

  // `name` is that of the source; see LogSource. Reading begins at `position`. References must outlive this object.
  PartitionReader(std::string name, std::int64_t position, IngestCore& core, DeadLetter dead_letter,
                  LogMetrics& metrics, PartitionReaderOptions options);
  ~PartitionReader() override;

  // Position of the record to hand in next.
  std::int64_t next() const { return next_; }

  // Takes the record at next().
  Step Take(absl::string_view bytes, absl::Time now);

  // Position at which a pass should begin now, if any; kOldest stands for that of the oldest record.
  std::optional<std::int64_t> WantedPass(absl::Time now);
  // Begins the wanted pass at a position: next() may be lower then.
  void BeginPass(std::int64_t position);

  // Records before `position` are gone: goes on there. Only forwards.
  void SkipTo(std::int64_t position);

  std::int64_t durable_position() const { return durable_; }

  const std::string& name() const override { return name_; }
  void GoBack(const StreamId&, std::int64_t expected_offset) override { expected_offset_ = expected_offset; }
  void OnDurable(const Stream&) override {}
  void OnPosition(std::int64_t position) override { durable_ = position; }

 private:
  struct Parked {
    std::int64_t position = 0;  // of its first record that is not done with
    absl::Time since;
    bool ahead = true;      // this record is ahead of what is stored
    bool searched = false;  // the partition holds nothing of what is missing
    bool given_up = false;  // what is missing becomes a gap
  };
  enum class Pass { kNone, kSearch, kReturn };

  Step Advance();
  void EndPass();
  Step Refuse(absl::string_view bytes, const absl::Status& why);
  absl::StatusOr<Taken> TakeOrFill(const internal::v1::LogRecord& record, Parked* parked);
  absl::Status FillGap(const internal::v1::LogRecord& record, std::int64_t from);

  const std::string name_;
  IngestCore& core_;
  const DeadLetter dead_letter_;
  LogMetrics& metrics_;
  const PartitionReaderOptions options_;
  std::int64_t next_;
  std::int64_t frontier_;  // everything before it was handed in once
  Pass pass_ = Pass::kNone;
  Pass wanted_ = Pass::kNone;
  std::uint32_t crc_ = 0;             // of the record that is being handed in
  std::uint32_t frontier_crc_ = 0;    // of the record before the frontier; 0: not known
  std::int64_t expected_offset_ = 0;  // of the stream that has just been told to go back
  absl::flat_hash_map<StreamId, Parked> parked_;
  std::atomic<std::int64_t> durable_;
};

}  // namespace riseml::loghandler
