// Describes a call to its handler: caller, method, request id. Also helps the handler to answer.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/access.pb.h"
#include "services/common/rpc/user_calls.h"

namespace riseml::rpc {

struct Call {
  internal::v1::Caller caller;
  std::string request_id;  // from the client, or made here; printable, at most 64 characters
  std::string method;      // "riseml.v1.JobService/GetJob"
  std::string peer;        // address, e.g. "ipv4:127.0.0.1:53120"; behind the edge, that of the edge's client
  std::string credential;  // what the caller showed, to be checked again while a stream is open; empty for services
                           // and for users that a service acts for
};

// Metadata keys.
inline constexpr char kAuthorizationKey[] = "authorization";  // "Bearer rml_…"
inline constexpr char kRequestIdKey[] = "x-request-id";
// Address of the client of a call that the edge passes on. The edge sets it; on other connections it means nothing.
inline constexpr char kEdgePeerKey[] = "x-riseml-edge-peer";
// The user a service acts for, e.g. "users/paul"; see ServerOptions::users.
inline constexpr char kOnBehalfOfKey[] = "x-riseml-on-behalf-of";

// The call behind a server context (of a synchronous method or of a callback reactor). Authentication has taken place
// before any handler runs; see server.h. `method` is "riseml.v1.JobService/GetJob".
Call CallOf(const grpc::ServerContextBase& context, absl::string_view method);

// Runs the body of a unary method: the one place where an absl::Status becomes a grpc::Status, is logged and counted.
grpc::Status Finish(const Call& call, absl::Time start, const absl::Status& status);
absl::Time StartOfCall();

// Time until the deadline of the call.
absl::Duration TimeLeft(const grpc::ServerContextBase& context);

// DEADLINE_EXCEEDED when nobody waits for the answer any more: the deadline has passed, or the caller is gone.
absl::Status CheckWaitedFor(const grpc::ServerContextBase& context);

// Moves a result into a response; returns its status.
template <class T>
absl::Status Answer(absl::StatusOr<T> result, T* response) {
  if (result.ok()) *response = *std::move(result);
  return result.status();
}

// The way a unary call of a user enters: UserCalls::Enter or EnterSerial.
using EnterUserCall = absl::StatusOr<UserCalls::Permit> (UserCalls::*)(const internal::v1::Caller&, absl::Duration);

// Answers a unary call with what `body` returns. Calls of one user wait for each other if there are many
// (user_calls.h).
template <class Body>  // absl::Status(const Call&)
grpc::Status Unary(const grpc::ServerContextBase* context, absl::string_view method, Body&& body,
                   EnterUserCall enter = &UserCalls::Enter) {
  const absl::Time start = StartOfCall();
  const Call call = CallOf(*context, method);
  const absl::StatusOr<UserCalls::Permit> permit = (UserCalls::OfProcess().*enter)(call.caller, TimeLeft(*context));
  if (!permit.ok()) return Finish(call, start, permit.status());
  if (absl::Status late = CheckWaitedFor(*context); !late.ok()) return Finish(call, start, late);
  return Finish(call, start, std::forward<Body>(body)(call));
}

// As Unary, for methods that may write thousands of rows: those of one user run one after another, so that they keep at
// most one processor busy. In parallel they would wait for each other in the database anyway, each holding a
// connection.
template <class Body>
grpc::Status SerialUnary(const grpc::ServerContextBase* context, absl::string_view method, Body&& body) {
  return Unary(context, method, std::forward<Body>(body), &UserCalls::EnterSerial);
}

}  // namespace riseml::rpc
