// Writes the rows that accompany every change: history, feed, audit, remembered requests. Uses the transaction of the
// change itself.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

struct TransitionRecord {
  std::string root_uid;
  std::string object;  // short id: "14", "14.3", "14.3.train"
  int attempt = 0;
  std::string from, to;
  std::string reason, message;
  std::optional<int> exit_code;
  std::string actor;  // a user's name, "scheduler" or "api"
};
void RecordTransition(pqxx::transaction_base& tx, const TransitionRecord& record);

enum class FeedKind { kExperiment, kJob, kAll };
// `uid` is ignored for kAll, which means everything of this root.
void RecordFeed(pqxx::transaction_base& tx, const std::string& root_uid, FeedKind kind, const std::string& uid = {});

void RecordAudit(pqxx::transaction_base& tx, const rpc::Call& call, absl::string_view object);

// Hashes of a request, to tell a replay from a reuse.
std::string ArgumentHash(const google::protobuf::Message& request_without_id);

template <class Request>
std::string HashWithoutId(Request request) {
  request.clear_request_id();
  return ArgumentHash(request);
}

// Returns the resource that an earlier call with this request_id made or changed, if any. INVALID_ARGUMENT
// (REQUEST_ID_REUSED) if that call had other arguments. An empty request_id is never remembered.
absl::StatusOr<std::optional<std::string>> FindRequest(pqxx::transaction_base& tx, const rpc::Call& call,
                                                       const std::string& request_id, const std::string& argument_hash);
void RememberRequest(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& request_id,
                     const std::string& argument_hash, const std::string& resource);

// Returns whether the caller may see and change everything.
bool IsAdmin(const rpc::Call& call);
// Returns the UUID of a user whose things the caller may see: the caller himself, or any user for an administrator.
// NOT_FOUND, with `name`, for others.
absl::StatusOr<std::string> FindUserOf(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                                       absl::string_view name);

}  // namespace riseml::api
