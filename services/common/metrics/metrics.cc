#include "services/common/metrics/metrics.h"

#include <netinet/in.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/histogram.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/threads/pause.h"

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

// Connects to the ports on loopback again and again. The web server checks whether to stop every two seconds and at
// each connection. A connection before the stop request has no effect, hence the repetition.
void KnockUntilStopped(std::stop_token stop, const std::vector<int>& ports) {
  do {
    for (const int port : ports) {
      const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_in address = {};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      // Refused once the server is gone; then there is nothing left to wake.
      [[maybe_unused]] const int refused =
          connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  } while (Pause(stop, absl::Milliseconds(5)));
}

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
  explicit Impl(const std::string& address) : address(address) {
    if (!Serve(/*first=*/true)) trying = std::jthread([this](std::stop_token stop) { ServeSoon(stop); });
  }

  bool Serve(bool first) {
    try {
      // An incomplete request holds a thread for one second at most, and dozens of them leave a thread for others.
      auto made = std::make_unique<prometheus::Exposer>(
          std::vector<std::string>{"listening_ports", address, "num_threads", "64", "request_timeout_ms", "1000"});
      made->RegisterCollectable(ProcessRegistry());
      exposer = std::move(made);
      if (!first) LogInfo("metrics_served", {{"address", address}});
      return true;
    } catch (const std::exception& e) {
      if (first) LogWarning("metrics_not_served", {{"address", address}, {"error", e.what()}, {"next", "in a second"}});
      return false;
    }
  }

  void ServeSoon(const std::stop_token& stop) {
    while (Pause(stop, absl::Seconds(1)) && !Serve(/*first=*/false)) {
    }
  }

  const std::string address;
  std::unique_ptr<prometheus::Exposer> exposer;
  std::jthread trying;  // while somebody else has the address
};

Exposer::Exposer(const std::string& address) : impl_(address.empty() ? nullptr : std::make_unique<Impl>(address)) {}

Exposer::~Exposer() {
  if (impl_ == nullptr) return;
  impl_->trying = std::jthread();  // it has ended when this is done
  if (impl_->exposer == nullptr) return;
  const std::vector<int> ports = impl_->exposer->GetListeningPorts();
  const std::jthread knocking([&ports](std::stop_token stop) { KnockUntilStopped(stop, ports); });
  impl_.reset();
}

}  // namespace riseml::metrics
