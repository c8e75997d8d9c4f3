#include "services/common/rpc/call.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/clock.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/metrics/metrics.h"
#include "services/common/rpc/identities.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

std::string MetadataValue(const grpc::ServerContextBase& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find(key);
  return it == metadata.end() ? std::string() : std::string(it->second.data(), it->second.size());
}

std::string RequestId(const grpc::ServerContextBase& context) {
  std::string id = MetadataValue(context, kRequestIdKey);
  const bool usable = !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), absl::ascii_isgraph);
  return usable ? id : NewUuid();
}

// Only the edge and processes of the services' own account can connect to a Unix socket.
std::string PeerOf(const grpc::ServerContextBase& context) {
  std::string peer = context.peer();
  if (!absl::StartsWith(peer, "unix:")) return peer;
  const std::string behind_edge = MetadataValue(context, kEdgePeerKey);
  return behind_edge.empty() ? peer : behind_edge;
}

internal::v1::Caller ServiceCaller(const grpc::AuthContext& auth) {
  internal::v1::Caller caller;
  const std::vector<grpc::string_ref> names = auth.FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  if (names.size() == 1) {
    caller.set_kind(internal::v1::Caller::SERVICE);
    caller.set_service(std::string(names[0].data(), names[0].size()));
  }
  return caller;
}

}  // namespace

std::string BearerToken(absl::string_view header) {
  absl::string_view token = header;
  return absl::ConsumePrefix(&token, "Bearer ") ? std::string(token) : std::string();
}

Call CallOf(const grpc::ServerContextBase& context, absl::string_view method) {
  Call call;
  call.method = std::string(method);
  call.peer = PeerOf(context);
  call.request_id = RequestId(context);
  if (const auto auth = context.auth_context(); auth != nullptr) call.caller = ServiceCaller(*auth);
  if (call.caller.kind() == internal::v1::Caller::SERVICE) {
    const std::string user = MetadataValue(context, kOnBehalfOfKey);
    if (!user.empty()) call.caller = Identities::OfProcess().Find(ActingKey(call.caller.service(), user));
    return call;
  }
  call.credential = BearerToken(MetadataValue(context, kAuthorizationKey));
  if (!call.credential.empty()) call.caller = Identities::OfProcess().Find(CredentialKey(call.credential));
  return call;
}

absl::Time StartOfCall() { return SystemClock().Now(); }

absl::Duration TimeLeft(const grpc::ServerContextBase& context) {
  return absl::FromChrono(context.deadline()) - SystemClock().Now();
}

absl::Status CheckWaitedFor(const grpc::ServerContextBase& context) {
  if (TimeLeft(context) > absl::ZeroDuration() && !context.IsCancelled()) return absl::OkStatus();
  return absl::DeadlineExceededError("the deadline passed before the call was begun; nothing was done");
}

grpc::Status Finish(const Call& call, absl::Time start, const absl::Status& status) {
  const absl::Duration took = SystemClock().Now() - start;
  metrics::CountCall(call.method, absl::StatusCodeToString(status.code()), absl::ToDoubleSeconds(took));
  if (status.ok()) return grpc::Status::OK;
  const bool bug = status.code() == absl::StatusCode::kInternal || status.code() == absl::StatusCode::kUnknown ||
                   status.code() == absl::StatusCode::kDataLoss;
  Log(bug ? LogLevel::kError : LogLevel::kInfo, "call_failed",
      {{"method", call.method},
       {"code", absl::StatusCodeToString(status.code())},
       {"request_id", call.request_id},
       {"caller", call.caller.user().empty() ? call.caller.service() : call.caller.user()},
       {"via", call.caller.acting_service()},
       {"error", std::string(status.message())}});
  return ToGrpc(status);
}

}  // namespace riseml::rpc
