// Accounts for the bytes that outputs and logs of users take: users.stored_bytes is kept equal to the rows it derives
// from, in the transaction that changes them.
#pragma once

#include <cstdint>
#include <map>
#include <pqxx/pqxx>
#include <string>

#include "riseml/internal/v1/scheduling.pb.h"
#include "services/api/lifecycle.h"

namespace riseml::api {

// Bounds of each user; -1: none.
struct UserLimits {
  std::int64_t experiments = -1;
  std::int64_t bytes = -1;
};

// Bytes of one output or log as they are counted: what is no size becomes one, so that sums stay far from overflow.
std::int64_t CountedBytes(std::int64_t reported);

// Changes that a transaction makes. All roots are locked before any user: two transactions that lock both in other
// orders would wait for each other, hence the users' rows are written at the end, in one order.
class StoredBytes {
 public:
  // Takes over the size of an output. The first report of an attempt counts, and of several attempts the newest one:
  // they share a directory. The root is locked.
  void TakeOutput(pqxx::transaction_base& tx, const JobRow& job, int attempt, const internal::v1::OutputSize& size);
  // A log below the root has grown, or shrunk. The root is locked.
  void AddLog(pqxx::transaction_base& tx, const std::string& root_uid, std::int64_t bytes);
  // Everything below the root goes: call it while the rows are there. The root is locked.
  void Remove(pqxx::transaction_base& tx, const std::string& root_uid);

  // Writes the users' rows. No root may be locked afterwards.
  void Write(pqxx::transaction_base& tx) const;

 private:
  std::map<std::string, std::int64_t> by_user_;
};

}  // namespace riseml::api
