#include "services/common/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/histogram.h>

#include <exception>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::metrics {
namespace {

struct CallMetrics {
  explicit CallMetrics(prometheus::Registry& registry)
      : requests(prometheus::BuildCounter()
                     .Name("riseml_rpc_requests_total")
                     .Help("Calls answered, by method and status code.")
                     .Register(registry)),
        seconds(prometheus::BuildHistogram()
                    .Name("riseml_rpc_seconds")
                    .Help("Time from the start of a handler to its answer.")
                    .Register(registry)) {}
  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Family<prometheus::Histogram>& seconds;
};

}  // namespace

std::shared_ptr<prometheus::Registry> ProcessRegistry() {
  static const auto* registry = new std::shared_ptr<prometheus::Registry>(std::make_shared<prometheus::Registry>());
  return *registry;
}

void CountCall(const std::string& method, const std::string& code, double seconds) {
  static CallMetrics* const calls = new CallMetrics(*ProcessRegistry());
  static const prometheus::Histogram::BucketBoundaries kBuckets = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                                                   0.1,    0.2,   0.5,   1,     2,    5,    10};
  calls->requests.Add({{"method", method}, {"code", code}}).Increment();
  calls->seconds.Add({{"method", method}}, kBuckets).Observe(seconds);
}

struct Exposer::Impl {
  explicit Impl(const std::string& address) : exposer(address, 1) {}
  prometheus::Exposer exposer;
};

Exposer::Exposer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Exposer::~Exposer() = default;

absl::StatusOr<std::unique_ptr<Exposer>> Exposer::Start(const std::string& address) {
  if (address.empty()) return std::unique_ptr<Exposer>(new Exposer(nullptr));
  try {
    auto impl = std::make_unique<Impl>(address);
    impl->exposer.RegisterCollectable(ProcessRegistry());
    return std::unique_ptr<Exposer>(new Exposer(std::move(impl)));
  } catch (const std::exception& e) {
    return Error(Reason::kUnavailable, absl::StrCat("serve metrics on ", address, ": ", e.what()));
  }
}

}  // namespace riseml::metrics
