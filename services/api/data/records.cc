#include "services/api/data/records.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/sha.h>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr char kInsertTransition[] = R"sql(
  INSERT INTO transitions (root_uid, object, attempt, from_state, to_state, reason, message, exit_code, actor)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::int, $9)
)sql";

}  // namespace

void RecordTransition(pqxx::transaction_base& tx, const TransitionRecord& r) {
  sql::Query(tx, kInsertTransition, r.root_uid, r.object, r.attempt, r.from, r.to, r.reason, r.message,
             r.exit_code ? std::make_unique<std::string>(std::to_string(*r.exit_code)) : nullptr, r.actor);
}

void RecordFeed(pqxx::transaction_base& tx, const std::string& root_uid, FeedKind kind, const std::string& uid) {
  if (kind == FeedKind::kAll) {
    sql::Query(tx, "INSERT INTO feed (root_uid, kind) VALUES ($1, 'ALL')", root_uid);
    return;
  }
  sql::Query(tx, "INSERT INTO feed (root_uid, kind, uid) VALUES ($1, $2, $3)", root_uid,
             kind == FeedKind::kJob ? "JOB" : "EXPERIMENT", uid);
}

void RecordAudit(pqxx::transaction_base& tx, const rpc::Call& call, absl::string_view object) {
  const bool service = call.caller.kind() == internal::v1::Caller::SERVICE;
  sql::Query(
      tx,
      "INSERT INTO audit (actor, key_id, peer, method, object, request_id, via) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      service ? absl::StrCat("service:", call.caller.service()) : call.caller.user(), call.caller.key_id(), call.peer,
      call.method, std::string(object), call.request_id, call.caller.acting_service());
}

std::string ArgumentHash(const google::protobuf::Message& request) {
  // Maps have no order of their own on the wire; a hash needs one.
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

absl::StatusOr<std::optional<std::string>> FindRequest(pqxx::transaction_base& tx, const rpc::Call& call,
                                                       const std::string& request_id,
                                                       const std::string& argument_hash) {
  if (request_id.empty()) return std::optional<std::string>();
  if (!IsUuid(request_id)) return Error(Reason::kInvalidArgument, "request_id must be a UUID");
  const auto rows =
      sql::Query(tx, "SELECT method, argument_hash, resource FROM requests WHERE user_uid = $1 AND request_id = $2",
                 call.caller.user_uid(), request_id);
  if (rows.empty()) return std::optional<std::string>();
  if (rows[0][0].as<std::string>() != call.method || pqxx::binarystring(rows[0][1]).str() != argument_hash)
    return Error(Reason::kRequestIdReused,
                 absl::StrCat("request_id ", request_id, " was used before with other arguments; make a new one"));
  return std::optional<std::string>(rows[0][2].as<std::string>());
}

void RememberRequest(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& request_id,
                     const std::string& argument_hash, const std::string& resource) {
  if (request_id.empty()) return;
  sql::Query(tx,
             "INSERT INTO requests (user_uid, request_id, method, argument_hash, resource) VALUES ($1, $2, $3, $4, $5)",
             call.caller.user_uid(), request_id, call.method, pqxx::binarystring(argument_hash), resource);
}

bool IsAdmin(const rpc::Call& call) { return call.caller.role() == v1::User::ADMIN; }

absl::StatusOr<std::string> FindUserOf(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                                       absl::string_view name) {
  const auto rows = sql::Query(tx, "SELECT uid FROM users WHERE name = $1 AND (uid = $2 OR $3)", user,
                               call.caller.user_uid(), IsAdmin(call));
  if (rows.empty()) return NotFound(name);
  return rows[0][0].as<std::string>();
}

}  // namespace riseml::api
