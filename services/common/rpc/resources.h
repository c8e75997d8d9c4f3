// Reads the memory of v1::Resources, also from messages of older versions.
#pragma once

#include <cmath>
#include <cstdint>

#include "riseml/v1/job.pb.h"

namespace riseml {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // the only place that reads the old field

// Memory in bytes, also of messages that older versions have stored; 0 when the message says nothing.
inline std::int64_t MemoryBytes(const v1::Resources& resources) {
  if (resources.has_memory_bytes() || !resources.has_memory_mb()) return resources.memory_bytes();
  return std::llround(std::ceil(resources.memory_mb() * 1e6));
}
inline bool AsksForMemory(const v1::Resources& resources) {
  return resources.has_memory_bytes() || resources.has_memory_mb();
}
#pragma GCC diagnostic pop

}  // namespace riseml
