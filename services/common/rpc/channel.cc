#include "services/common/rpc/channel.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/backoff.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

// Our servers accept 4 MiB, but may answer with more: the log streams of a set of 10,000 children are 5 MB.
constexpr int kMaxReceivedBytes = 16 << 20;

bool IsUnix(const std::string& address) { return absl::StartsWith(address, "unix:"); }

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                           int ahead_bytes = 0) {
  grpc::ChannelArguments arguments;
  if (ahead_bytes > 0) {
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // it would widen the window again
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, ahead_bytes);
  }
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxReceivedBytes);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

// True when the address leads to no server or to a wrong one, which waiting hardly changes. gRPC says so only in its
// message.
bool IsMisled(const absl::Status& status) {
  constexpr absl::string_view kWords[] = {"DNS resolution failed", "CERTIFICATE_VERIFY_FAILED", "Ssl handshake failed"};
  return std::ranges::any_of(kWords,
                             [&](absl::string_view words) { return absl::StrContains(status.message(), words); });
}

void Wait(grpc::Channel* channel, absl::Time now, absl::Duration duration) {
  if (channel != nullptr && channel->GetState(false) != GRPC_CHANNEL_READY) {
    (void)channel->WaitForConnected(absl::ToChronoTime(now + duration));
    return;
  }
  std::this_thread::sleep_for(absl::ToChronoMicroseconds(duration));
}

}  // namespace

absl::Duration Backoff(int failed_tries) {
  thread_local std::minstd_rand random(std::random_device{}());
  const absl::Duration middle = riseml::Backoff(failed_tries, absl::Milliseconds(50), absl::Seconds(1));
  return middle * std::uniform_real_distribution<double>(0.5, 1.5)(random);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> ServiceChannel(const std::string& address,
                                                              const config::v1::ClientTls& tls, int ahead_bytes) {
  grpc::SslCredentialsOptions options;
  RISEML_ASSIGN_OR_RETURN(options.pem_root_certs, ReadFile(tls.ca_file(), 1 << 20));
  RISEML_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadFile(tls.certificate_file(), 1 << 20));
  RISEML_ASSIGN_OR_RETURN(options.pem_private_key, ReadFile(tls.key_file(), 1 << 20));
  return MakeChannel(address, grpc::SslCredentials(options), ahead_bytes);
}

std::shared_ptr<grpc::Channel> UserChannel(const std::string& address, const std::string& ca_pem) {
  if (IsUnix(address)) return MakeChannel(address, grpc::experimental::LocalCredentials(UDS));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca_pem;
  return MakeChannel(address, grpc::SslCredentials(options));
}

void Prepare(grpc::ClientContext& context, absl::Duration timeout, absl::string_view request_id,
             absl::string_view credential) {
  if (timeout < absl::InfiniteDuration())
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  context.AddMetadata(kRequestIdKey, std::string(request_id));
  if (!credential.empty()) context.AddMetadata(kAuthorizationKey, absl::StrCat("Bearer ", credential));
}

absl::Status InvokeWithRetry(const CallOptions& options,
                             const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  const SystemClock clock;
  const absl::Time deadline = clock.Now() + options.timeout;
  const std::string request_id = options.request_id.empty() ? NewUuid() : options.request_id;
  for (int tries = 1;; ++tries) {
    grpc::ClientContext context;
    Prepare(context, deadline - clock.Now(), request_id, options.credential);
    const absl::Status status = FromGrpc(call(&context));
    const absl::Duration wait = std::max(Backoff(tries - 1), RetryDelayOf(status).value_or(absl::ZeroDuration()));
    const int most = IsMisled(status) ? std::min(options.tries, kTries) : options.tries;
    if (!IsTransient(status) || tries >= most || clock.Now() + wait >= deadline) return status;
    Wait(options.channel.get(), clock.Now(), wait);
  }
}

}  // namespace riseml::rpc
