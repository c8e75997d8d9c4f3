// Shows ThreadSanitizer what Debian's Abseil and gRPC, which are not instrumented, do to order threads. Linked into
// every program of the tsan preset: its definitions come before those of the shared libraries, which still do the work.
//
// Orders: unlock → lock of each Abseil mutex; start of a batch of operations → its completion, by queue or by callback;
// start of a server → each of its calls.
#include <dlfcn.h>
#include <grpc/grpc.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/synchronization/mutex.h"

extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
extern "C" const char __executable_start, etext;

namespace {

// The function of a shared library that one of the same name here stands in front of.
template <class Function>
Function Real(const char* symbol) {
  void* const found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "no function %s in the shared libraries: %s\n", symbol, dlerror());
    std::abort();
  }
  return reinterpret_cast<Function>(found);
}

using Run = void (*)(grpc_completion_queue_functor*, int);
constexpr std::size_t kRuns = 8;  // kinds of callbacks; gRPC has three
std::array<std::atomic<Run>, kRuns> g_runs;

template <std::size_t I>
void RunOrdered(grpc_completion_queue_functor* functor, int ok) {
  __tsan_acquire(functor);
  g_runs[I].load()(functor, ok);
}

template <std::size_t... I>
constexpr std::array<Run, kRuns> OrderedRuns(std::index_sequence<I...>) {
  return {&RunOrdered<I>...};
}
constexpr std::array<Run, kRuns> kOrderedRuns = OrderedRuns(std::make_index_sequence<kRuns>());

// The tag of a batch is a callback when it begins with the address of code; otherwise it is an object with a table.
bool IsFunctor(void* tag) {
  if (tag == nullptr || reinterpret_cast<std::uintptr_t>(tag) % alignof(void*) != 0) return false;
  const char* const first = *static_cast<const char**>(tag);
  return first >= &__executable_start && first < &etext;
}

void OrderCallback(grpc_completion_queue_functor* functor) {
  const Run run = functor->functor_run;
  for (std::size_t i = 0; i < kRuns; ++i) {
    if (run == kOrderedRuns[i]) return;
    Run known = nullptr;
    if (g_runs[i].compare_exchange_strong(known, run) || known == run) {
      functor->functor_run = kOrderedRuns[i];
      return;
    }
  }
}

int g_server = 0;  // stands for all servers

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static const auto real = Real<void (*)(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  real(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static const auto real = Real<bool (*)(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static const auto real = Real<void (*)(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  real(this);
}

void ReleasableMutexLock::Release() {
  static const auto real = Real<void (*)(ReleasableMutexLock*)>("_ZN4absl7debian319ReleasableMutexLock7ReleaseEv");
  __tsan_release(mu_);
  real(this);
}

void CondVar::Wait(Mutex* mu) {
  static const auto real = Real<void (*)(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mu);
  real(this, mu);
  __tsan_acquire(mu);
}

bool CondVar::WaitWithTimeout(Mutex* mu, Duration timeout) {
  static const auto real = Real<bool (*)(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mu);
  const bool timed_out = real(this, mu, timeout);
  __tsan_acquire(mu);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mu, Time deadline) {
  static const auto real =
      Real<bool (*)(CondVar*, Mutex*, Time)>("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mu);
  const bool timed_out = real(this, mu, deadline);
  __tsan_acquire(mu);
  return timed_out;
}

ABSL_NAMESPACE_END
}  // namespace absl

extern "C" {

const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

// What remains. No line names code of ours, and none hides a frame of it. The libraries copy and free memory by
// intercepted functions, ordered by atomics of their own; the call behind a reactor goes when its last reference does,
// which is counted inside of libgrpc++. gRPC joins its own threads from a thread that a program's end does not wait
// for.
const char* __tsan_default_suppressions() {
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libabsl_graphcycles_internal.so\n"
         "called_from_lib:libabsl_status.so\n"
         "thread:^grpc_core::Thread::Thread\n"
         "race:^grpc::internal::CallbackWithSuccessTag::~CallbackWithSuccessTag\n"
         "race:^grpc::internal::CallOpSetInterface::~CallOpSetInterface\n"
         "race:^grpc::internal::InterceptorBatchMethodsImpl::~InterceptorBatchMethodsImpl\n"
         // The reactor with which gRPC answers calls of unknown methods.
         "race:^grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, "
         "grpc::ByteBuffer>::ServerCallbackReaderWriterImpl::~"
         "ServerCallbackReaderWriterImpl\n";
}

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t nops, void* tag, void* reserved) {
  static const auto real = Real<decltype(&grpc_call_start_batch)>("grpc_call_start_batch");
  if (IsFunctor(tag)) OrderCallback(static_cast<grpc_completion_queue_functor*>(tag));
  __tsan_release(tag);
  return real(call, ops, nops, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline, void* reserved) {
  static const auto real = Real<decltype(&grpc_completion_queue_next)>("grpc_completion_queue_next");
  const grpc_event event = real(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag, gpr_timespec deadline, void* reserved) {
  static const auto real = Real<decltype(&grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  const grpc_event event = real(queue, tag, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(tag);
  return event;
}

void grpc_server_start(grpc_server* server) {
  static const auto real = Real<decltype(&grpc_server_start)>("grpc_server_start");
  __tsan_release(&g_server);
  real(server);
}

// The first thing a callback handler does with a call.
void grpc_call_ref(grpc_call* call) {
  static const auto real = Real<decltype(&grpc_call_ref)>("grpc_call_ref");
  __tsan_acquire(&g_server);
  real(call);
}

// The last thing.
void grpc_call_unref(grpc_call* call) {
  static const auto real = Real<decltype(&grpc_call_unref)>("grpc_call_unref");
  __tsan_release(&g_server);
  real(call);
}

void grpc_server_destroy(grpc_server* server) {
  static const auto real = Real<decltype(&grpc_server_destroy)>("grpc_server_destroy");
  __tsan_acquire(&g_server);
  real(server);
}

}  // extern "C"
