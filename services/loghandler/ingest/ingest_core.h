// Takes log records from any number of sources and stores each byte of each stream exactly once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/ingest/log_source.h"
#include "services/loghandler/store/ingest.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/store.h"

namespace riseml::loghandler {

// Result of taking a record.
struct Taken {
  IngestAction action = IngestAction::kDuplicate;  // not kRefuse
  std::shared_ptr<Stream> stream;
};

// Thread-safe. Records of one stream, and records of a source with positions, are handed in by one thread at a time.
class IngestCore {
 public:
  // Both must outlive this object. The store must be stopped before this object is destroyed.
  IngestCore(Store& store, LogMetrics& metrics);

  // Adds a source. Must be called before its first record. `source` must live until it is disconnected or the store is
  // stopped.
  void Connect(LogSource& source);
  // Removes a source: none of its functions runs when this returns, nor later.
  void Disconnect(LogSource& source);

  // Takes a record. `position` is that of the record in its source; only sources with a name have positions. `crc` is
  // the CRC32C of the record as the source has received it, kept with the position; 0: not known.
  //
  // Returns kStore, kTrim or kDuplicate when the record is done with. kGoBack: the source has been told, see LogSource.
  // kWait: nothing was done; the record has to be handed in again after OnDurable. Errors: INVALID_ARGUMENT and
  // OFFSET_MISMATCH for a record that can never be stored, DATA_LOSS for a stream that is damaged; any other error,
  // e.g. DISK_FULL, may pass: hand the record in again.
  //
  // The position of the source does not go beyond a record that is not done with, even if later ones are stored, until
  // that record is handed in again with success or passed over.
  absl::StatusOr<Taken> Take(LogSource& source, const internal::v1::LogRecord& record,
                             std::optional<std::int64_t> position = std::nullopt, std::uint32_t crc = 0);

  // Skips the record at `position` for good: its stream cannot store it.
  void PassOver(LogSource& source, std::int64_t position, std::uint32_t crc = 0);

 private:
  absl::StatusOr<Taken> Put(const internal::v1::LogRecord& record);
  void Settle(const LogSource& source, std::int64_t position, bool done, std::uint32_t crc);

  Store& store_;
  LogMetrics& metrics_;
  Mutex sources_mu_;
  std::vector<LogSource*> sources_ ABSL_GUARDED_BY(sources_mu_);
  Mutex mu_;
  absl::flat_hash_map<std::string, std::int64_t> held_ ABSL_GUARDED_BY(mu_);  // by source: oldest record not done with
};

}  // namespace riseml::loghandler
