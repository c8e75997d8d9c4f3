// Accounts for the bytes of users' outputs, logs and code. Keeps user_usage equal to the rows it derives from, in the
// transaction that changes them.
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

// Returns LIMIT_EXCEEDED if `user` keeps `kept` bytes and may not add `more`, or already keeps as many as allowed. The
// message is for the caller, who may be somebody else.
absl::Status CheckRoom(const rpc::Call& call, const std::string& user, std::int64_t kept, std::int64_t more,
                       const UserLimits& limits);

// Clamps the reported size of an output, log or repository to 0 to 64 TiB, so that sums stay far from overflow.
std::int64_t CountedBytes(std::int64_t reported);

// Collects the changes of a transaction. All roots and projects are locked before any user, and the users' rows are
// written last, in one order: otherwise two transactions could wait for each other.
class StoredBytes {
 public:
  // Records the size of an output. The first report of an attempt counts. Of several attempts the newest counts, as
  // they share a directory. The root is locked.
  void TakeOutput(pqxx::transaction_base& tx, const JobRow& job, int attempt, const internal::v1::OutputSize& size);
  // Adds the growth of a log below the root; negative if the log shrank. The root is locked.
  void AddLog(pqxx::transaction_base& tx, const std::string& root_uid, std::int64_t bytes);
  // Subtracts everything below the root. Call it before the rows are deleted. The root is locked.
  void Remove(pqxx::transaction_base& tx, const std::string& root_uid);

  // Adds the growth of a repository of the user; negative if it shrank. The project is locked.
  void AddCode(const std::string& user_uid, std::int64_t bytes) { by_user_[user_uid] += bytes; }

  // Writes the users' rows. No root or project may be locked afterwards.
  void Write(pqxx::transaction_base& tx) const;

 private:
  std::map<std::string, std::int64_t> by_user_;
};

}  // namespace riseml::api
