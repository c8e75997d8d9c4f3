#include "services/common/sql/pool.h"

#include <chrono>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/priority.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::sql {
namespace {

constexpr std::chrono::seconds kAcquireLimit(5);

// A query that runs or waits for a lock longer than this is a bug or an overload; an error is better than a queue.
constexpr char kSessionSettings[] =
    "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; "
    "SET timezone = 'UTC'; "
    // A prepared statement keeps its plan until the next ANALYZE. A plan made for a table of a few rows would still
    // read the whole table when it holds a hundred thousand.
    "SET enable_seqscan = off; "
    // The estimated cost of a full table scan would start the JIT compiler, which takes longer than any query.
    "SET jit = off";

// Lowers the priority of the server process of a connection if it runs on this machine, i.e. is reached by a Unix
// socket.
void LetServerGiveWay(pqxx::connection& connection) {
  const char* host = connection.hostname();
  if (host != nullptr && host[0] != '/' && host[0] != '\0') return;
  // A pooler between us and the server names a process that may be anything on this machine.
  const pid_t server = connection.backendpid();
  if (ReadFile(absl::StrCat("/proc/", server, "/comm"), 64).value_or("") != "postgres\n") return;
  (void)LetSessionGiveWay(server);  // may be refused; it is asked for again when the connection is next used
}

}  // namespace

absl::Status StatusOfException(absl::string_view doing) {
  try {
    throw;
  } catch (const pqxx::broken_connection& e) {
    return Error(Reason::kUnavailable, absl::StrCat(doing, ": database connection lost: ", e.what()));
  } catch (const pqxx::in_doubt_error& e) {
    return Error(Reason::kUnavailable, absl::StrCat(doing, ": outcome of the commit is unknown: ", e.what()));
  } catch (const pqxx::serialization_failure& e) {
    return Error(Reason::kStale, absl::StrCat(doing, ": ", e.what()));
  } catch (const pqxx::deadlock_detected& e) {
    return Error(Reason::kStale, absl::StrCat(doing, ": ", e.what()));
  } catch (const pqxx::unique_violation& e) {
    return Error(Reason::kAlreadyExists, absl::StrCat(doing, ": ", e.what()));
  } catch (const pqxx::disk_full& e) {
    return WithMetadata(Error(Reason::kDiskFull, absl::StrCat(doing, ": the database's disk is full: ", e.what())),
                        "cause", "DATABASE");
  } catch (const NulInText& e) {
    return Error(Reason::kInvalidArgument, absl::StrCat(doing, ": ", e.what()));
  } catch (const pqxx::sql_error& e) {
    // 57P01…57P03: the server is being stopped or started.
    if (e.sqlstate().rfind("57P", 0) == 0)
      return Error(Reason::kUnavailable, absl::StrCat(doing, ": database not available: ", e.what()));
    // Errors for clients do not reveal statements and tables.
    LogError("statement_failed", {{"doing", doing}, {"sqlstate", e.sqlstate()}, {"error", e.what()}});
    // Class 22: data that no column takes.
    if (e.sqlstate().rfind("22", 0) == 0)
      return Error(Reason::kInvalidArgument, absl::StrCat(doing, ": a value is malformed or out of range"));
    return absl::InternalError(absl::StrCat(doing, ": the database refused it; the log of this service says why"));
  } catch (const std::exception& e) {  // of ours
    return absl::InternalError(absl::StrCat(doing, ": ", e.what()));
  }
}

Pool::Pool(std::string connection, int size, Priority priority)
    : connection_(std::move(connection)), size_(size), priority_(priority) {}

absl::StatusOr<std::unique_ptr<pqxx::connection>> Pool::Acquire() {
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<pqxx::connection> connection, TakeOrConnect());
  if (priority_ == Priority::kBackground) LetServerGiveWay(*connection);
  return connection;
}

absl::StatusOr<std::unique_ptr<pqxx::connection>> Pool::TakeOrConnect() {
  {
    MutexLock lock(mu_);
    const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !idle_.empty() || open_ < size_; };
    if (!returned_.wait_for(mu_, kAcquireLimit, free))
      return Error(Reason::kUnavailable, "all database connections are busy; try again");
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->is_open()) return connection;
      --open_;
    }
    ++open_;
  }
  try {
    auto connection = std::make_unique<pqxx::connection>(connection_);
    pqxx::nontransaction(*connection).exec(kSessionSettings);
    // A lost connection must show as an error, not be replaced silently by one without our settings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // gone in libpqxx 7, together with reactivation itself
    connection->inhibit_reactivation(true);
#pragma GCC diagnostic pop
    return connection;
  } catch (const std::exception& e) {
    MutexLock lock(mu_);
    --open_;
    return Error(Reason::kUnavailable, absl::StrCat("connect to the database: ", e.what()));
  }
}

void Pool::Release(std::unique_ptr<pqxx::connection> connection) {
  {
    MutexLock lock(mu_);
    if (connection != nullptr && connection->is_open())
      idle_.push_back(std::move(connection));
    else
      --open_;
  }
  returned_.notify_one();
}

void Pool::PauseBeforeRetry(int tries) {
  thread_local std::minstd_rand random(std::random_device{}());
  std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(5, 20 << tries)(random)));
}

}  // namespace riseml::sql
