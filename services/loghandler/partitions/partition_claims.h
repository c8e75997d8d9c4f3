// Claims of log handlers on partitions, as files of the directory that they share. The highest generation of a
// partition is its owner; everything that an earlier one still writes is without effect.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/log_storage.pb.h"

namespace riseml::loghandler {

struct ClaimedPartition {
  std::int64_t generation = 0;
  std::string source;          // name of the source in the store
  std::int64_t position = 0;   // where to read on; 0 also if nobody has read the partition before
  std::uint32_t last_crc = 0;  // of the record before; 0: not known
};

// Thread-safe; several processes may use one directory.
//
//   <dir>/claims/<partition>.<generation>.pb                    PartitionClaim, made once
//   <dir>/sources/<topic>-<partition>.<generation>.pb           position of that generation, written by its owner only
class PartitionClaims {
 public:
  // `dir` is that of the store. A topic has positions of its own.
  PartitionClaims(std::string dir, std::string topic);

  // Claims a partition with a generation above all others. The position is that of the generation before, and is
  // durable under the new name when this returns.
  absl::StatusOr<ClaimedPartition> Claim(int partition, const internal::v1::PartitionClaim& claim);

  struct Owner {
    std::int64_t generation = 0;
    internal::v1::PartitionClaim claim;
  };
  // The owner of each partition that was ever claimed.
  absl::StatusOr<std::map<int, Owner>> Owners() const;

 private:
  absl::StatusOr<std::int64_t> Next(int partition, const internal::v1::PartitionClaim& claim);
  absl::StatusOr<std::map<std::int64_t, std::string>> Sources(int partition) const;
  std::string SourceName(int partition, std::int64_t generation) const;
  std::string ClaimPath(int partition, std::int64_t generation) const;

  const std::string dir_;
  const std::string topic_;
};

}  // namespace riseml::loghandler
