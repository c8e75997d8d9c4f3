// Accounts for the bytes that outputs, logs and code of users take: user_usage is kept equal to the rows it derives
// from, in the transaction that changes them.
#pragma once

#include <cstdint>
#include <map>
#include <pqxx/pqxx>
#include <string>

#include "absl/status/status.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "services/api/data/lifecycle.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Bounds of each user; -1: none.
struct UserLimits {
  std::int64_t experiments = -1;
  std::int64_t bytes = -1;
};

// Returns LIMIT_EXCEEDED if `user` keeps `kept` bytes and may not add `more`, or keeps as many as allowed already. The
// message is for the caller, who may be somebody else.
absl::Status CheckRoom(const rpc::Call& call, const std::string& user, std::int64_t kept, std::int64_t more,
                       const UserLimits& limits);

// Bytes of one output, log or repository as they are counted: what is no size becomes one, so that sums stay far from
// overflow.
std::int64_t CountedBytes(std::int64_t reported);

// Changes that a transaction makes. All roots and projects are locked before any user: two transactions that lock both
// in other orders would wait for each other, hence the users' rows are written at the end, in one order.
class StoredBytes {
 public:
  // Takes over the size of an output. The first report of an attempt counts, and of several attempts the newest one:
  // they share a directory. The root is locked.
  void TakeOutput(pqxx::transaction_base& tx, const JobRow& job, int attempt, const internal::v1::OutputSize& size);
  // A log below the root has grown, or shrunk. The root is locked.
  void AddLog(pqxx::transaction_base& tx, const std::string& root_uid, std::int64_t bytes);
  // Everything below the root goes: call it while the rows are there. The root is locked.
  void Remove(pqxx::transaction_base& tx, const std::string& root_uid);

  // The repository of a project of the user has grown, or shrunk. The project is locked.
  void AddCode(const std::string& user_uid, std::int64_t bytes) { by_user_[user_uid] += bytes; }

  // Writes the users' rows. No root or project may be locked afterwards.
  void Write(pqxx::transaction_base& tx) const;

 private:
  std::map<std::string, std::int64_t> by_user_;
};

}  // namespace riseml::api
