// Stores durably how far each source of records has been read: <dir>/<source>.pb.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/store/disk.h"

namespace riseml::loghandler {

// Positions are noted at any time and written in groups, each after the data before it has become durable. After a
// crash a position may therefore lie behind the data, never ahead of it; what is read again then is dropped by its
// offsets. Thread-safe.
class SourcePositions {
 public:
  struct Position {
    std::string source;
    std::int64_t next = 0;
    std::uint32_t last_crc = 0;  // of the record before; 0: not known
  };
  using Noted = std::vector<Position>;

  // `disk` must outlive this object.
  SourcePositions(std::string dir, Disk& disk) : dir_(std::move(dir)), disk_(disk) {}

  // The durable position of a source; nullopt when there is none, or none that can be read: the source then begins at
  // its oldest record. INVALID_ARGUMENT for a name that cannot be that of a file.
  absl::StatusOr<std::optional<std::int64_t>> Load(const std::string& source);

  // Every record before `next` has been written; `last_crc` is that of the last of them. Positions do not go back.
  void Note(const std::string& source, std::int64_t next, std::uint32_t last_crc);

  // Begins anew at `next`, which may be lower, because the records before it are gone. Durable when it returns.
  absl::Status Reset(const std::string& source, std::int64_t next);

  // Returns the positions noted since the last Take. The caller makes the data before them durable and then calls
  // Write.
  Noted Take();
  absl::Status Write(const Noted& noted);

 private:
  const std::string dir_;
  Disk& disk_;
  Mutex write_mu_;  // taken before mu_
  Mutex mu_;
  absl::flat_hash_map<std::string, std::int64_t> newest_ ABSL_GUARDED_BY(mu_);  // noted or loaded
  absl::flat_hash_map<std::string, Position> noted_ ABSL_GUARDED_BY(mu_);       // since Take
};

}  // namespace riseml::loghandler
