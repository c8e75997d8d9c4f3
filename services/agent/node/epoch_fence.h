// Prevents a scheduler that has lost the leadership from changing attempts of its successor.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Remembers the highest epoch with which a leader has called, also across restarts. Thread-safe.
class EpochFence {
 public:
  // Reads the epoch from `file`; 0 if the file is absent, since no leader has called yet.
  static absl::StatusOr<std::int64_t> Read(const std::string& file);
  EpochFence(std::string file, std::int64_t highest) : file_(std::move(file)), highest_(highest) {}

  // OK for the highest epoch so far and for a higher one, which is durable when this returns. ABORTED (NOT_LEADER) for
  // an older one.
  absl::Status Pass(std::int64_t epoch);

 private:
  const std::string file_;
  Mutex mu_;
  std::int64_t highest_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::agent
