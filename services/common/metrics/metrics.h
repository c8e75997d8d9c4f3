// /metrics of a service.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace riseml::metrics {

// Registry of the process's RPC metrics (riseml_rpc_requests_total{method,code}, riseml_rpc_seconds{method}); created once, before threads
// start, by whoever asks first. Thread-safe.
std::shared_ptr<prometheus::Registry> ProcessRegistry();

// Serves registries over HTTP until destroyed.
class Exposer {
 public:
  // An empty address serves nothing.
  static absl::StatusOr<std::unique_ptr<Exposer>> Start(const std::string& address);
  ~Exposer();

 private:
  struct Impl;
  explicit Exposer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace riseml::metrics
