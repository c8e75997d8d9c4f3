// PostgreSQL through libpqxx: a bounded pool, and transactions that are run again when the database asks for it. The
// one place where libpqxx's exceptions become statuses.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"

namespace riseml::sql {

// Converts the current exception of libpqxx; call it inside a catch block. UNAVAILABLE: connection lost; ABORTED: run
// the transaction again; ALREADY_EXISTS: unique constraint; DISK_FULL; otherwise INTERNAL.
absl::Status StatusOfException(absl::string_view doing);

// Thread-safe.
class Pool {
 public:
  enum class Priority {
    kNormal,
    kBackground,  // the server processes of a database on this machine give way to all others; see base/priority.h
  };
  // `connection` is a libpq connection string; connections are made when first needed, at most `size`.
  Pool(std::string connection, int size, Priority priority = Priority::kNormal);

  // Runs `body(pqxx::work&)`, which returns absl::Status or absl::StatusOr, in one transaction: commits when it returns
  // OK, otherwise rolls back. The body is run at most 5 times in all: again after a serialisation failure, a deadlock
  // or a connection lost before the commit; hence it has no side effects but SQL. A connection lost inside the commit
  // answers UNAVAILABLE: the outcome is unknown.
  template <class Body>
  std::invoke_result_t<Body, pqxx::work&> Transact(absl::string_view doing, Body&& body) {
    using Result = std::invoke_result_t<Body, pqxx::work&>;
    for (int tries = 1;; ++tries) {
      absl::StatusOr<std::unique_ptr<pqxx::connection>> connection = Acquire();
      if (!connection.ok()) {
        if (tries < kMaxTries && absl::IsUnavailable(connection.status())) {
          PauseBeforeRetry(tries);
          continue;
        }
        return Result(connection.status());
      }
      bool committing = false;
      absl::Status failure;
      try {
        std::optional<Result> result;
        {
          pqxx::work tx(**connection);
          result.emplace(body(tx));
          if (StatusOf(*result).ok()) {
            committing = true;
            tx.commit();
          }
        }  // rolled back here, before anybody else gets the connection
        Release(*std::move(connection));
        return *std::move(result);
      } catch (const std::exception&) {
        failure = StatusOfException(doing);
      }
      if (absl::IsUnavailable(failure)) connection->reset();  // lost; only its place in the pool is given back
      Release(*std::move(connection));
      const bool again = absl::IsAborted(failure) || (absl::IsUnavailable(failure) && !committing);
      if (!again || tries >= kMaxTries) return Result(failure);
      PauseBeforeRetry(tries);
    }
  }

 private:
  static constexpr int kMaxTries = 5;

  static const absl::Status& StatusOf(const absl::Status& status) { return status; }
  template <class T>
  static const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }

  absl::StatusOr<std::unique_ptr<pqxx::connection>> Acquire();
  absl::StatusOr<std::unique_ptr<pqxx::connection>> TakeOrConnect();
  void Release(std::unique_ptr<pqxx::connection> connection);
  static void PauseBeforeRetry(int tries);

  const std::string connection_;
  const int size_;
  const Priority priority_;
  Mutex mu_;
  std::condition_variable_any returned_;
  std::vector<std::unique_ptr<pqxx::connection>> idle_ ABSL_GUARDED_BY(mu_);
  int open_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace riseml::sql
