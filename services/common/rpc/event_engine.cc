#include "services/common/rpc/event_engine.h"

#include <grpc/event_engine/event_engine.h>
#include <grpc/grpc.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "services/common/base/threads/executor.h"

namespace riseml::rpc {
namespace {

using grpc_event_engine::experimental::EndpointConfig;
using grpc_event_engine::experimental::EventEngine;
using grpc_event_engine::experimental::MemoryAllocator;
using grpc_event_engine::experimental::MemoryAllocatorFactory;

constexpr std::size_t kMostThreads = 256;  // as many as a server has for calls

// Leaves everything but tasks to gRPC's engine.
class TaskEngine final : public EventEngine {
 public:
  // Both outlive this.
  TaskEngine(EventEngine& base, Executor& executor) : base_(base), executor_(executor) {}

  void Run(Closure* closure) override {
    executor_.Run([closure] { closure->Run(); });
  }
  void Run(absl::AnyInvocable<void()> closure) override {
    executor_.Run([task = std::make_shared<absl::AnyInvocable<void()>>(std::move(closure))] { (*task)(); });
  }

  absl::StatusOr<std::unique_ptr<Listener>> CreateListener(
      Listener::AcceptCallback on_accept, absl::AnyInvocable<void(absl::Status)> on_shutdown,
      const EndpointConfig& config, std::unique_ptr<MemoryAllocatorFactory> memory_allocator_factory) override {
    return base_.CreateListener(std::move(on_accept), std::move(on_shutdown), config,
                                std::move(memory_allocator_factory));
  }
  ConnectionHandle Connect(OnConnectCallback on_connect, const ResolvedAddress& address, const EndpointConfig& config,
                           MemoryAllocator memory_allocator, Duration timeout) override {
    return base_.Connect(std::move(on_connect), address, config, std::move(memory_allocator), timeout);
  }
  bool CancelConnect(ConnectionHandle handle) override { return base_.CancelConnect(handle); }
  bool IsWorkerThread() override { return base_.IsWorkerThread(); }
  std::unique_ptr<DNSResolver> GetDNSResolver(const DNSResolver::ResolverOptions& options) override {
    return base_.GetDNSResolver(options);
  }
  TaskHandle RunAfter(Duration when, Closure* closure) override { return base_.RunAfter(when, closure); }
  TaskHandle RunAfter(Duration when, absl::AnyInvocable<void()> closure) override {
    return base_.RunAfter(when, std::move(closure));
  }
  bool Cancel(TaskHandle handle) override { return base_.Cancel(handle); }

 private:
  EventEngine& base_;
  Executor& executor_;
};

}  // namespace

// gRPC may release an engine on any thread, even on one of its own. Hence objects with threads live as long as the
// process.
void InstallEventEngine() {
  grpc_init();  // before there can be an engine; never undone, as the engine stays
  static EventEngine& base = *grpc_event_engine::experimental::CreateEventEngine().release();
  static Executor& executor = *new ThreadExecutor(kMostThreads);
  grpc_event_engine::experimental::SetEventEngineFactory([] { return std::make_unique<TaskEngine>(base, executor); });
}

}  // namespace riseml::rpc
