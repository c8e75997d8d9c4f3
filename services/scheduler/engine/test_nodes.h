// Nodes for tests of the engine.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

inline constexpr std::int64_t kGb = 1'000'000'000;

inline Node MakeNode(const std::string& name, std::int64_t cpus, int gpus = 0) {
  Node node{.name = name, .cpu_millis = cpus * 1000, .memory_bytes = 16 * kGb, .ready = true};
  for (int i = 0; i < gpus; ++i) node.gpu_uuids.push_back(absl::StrCat(name, "-gpu", i));
  return node;
}

}  // namespace riseml::scheduler::engine
