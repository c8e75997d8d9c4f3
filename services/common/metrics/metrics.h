// /metrics of a service.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::metrics {

// The registry every part of a process adds its metrics to. Thread-safe.
std::shared_ptr<prometheus::Registry> ProcessRegistry();

// Counts one call in riseml_rpc_requests_total{method,code} and riseml_rpc_seconds{method}. `method` comes from code,
// never from input.
void CountCall(const std::string& method, const std::string& code, double seconds);

// Serves the process's registry over HTTP until destroyed.
class Exposer {
 public:
  // `address` is host:port; an empty one serves nothing. While the address is in use, it is tried again every second:
  // the service works without metrics, too.
  explicit Exposer(const std::string& address);
  ~Exposer();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null: nothing is served
};

}  // namespace riseml::metrics
