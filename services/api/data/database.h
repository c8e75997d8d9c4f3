// Runs the transactions of this service's stores, and tells watchers about their changes at once.
#pragma once

#include <utility>

#include "services/api/data/watch_cache.h"
#include "services/common/sql/pool.h"

namespace riseml::api {

// Thread-safe.
class Database {
 public:
  Database(sql::Pool& pool, WatchCache& feed) : pool_(pool), feed_(feed) {}  // both outlive this

  template <class Body>
  auto Read(absl::string_view doing, Body&& body) {
    return pool_.Transact(doing, std::forward<Body>(body));
  }
  // Reads with several statements that all see the same rows, whatever others change or delete meanwhile.
  template <class Body>
  auto Snapshot(absl::string_view doing, Body&& body) {
    return pool_.Transact(doing, [&](pqxx::work& tx) {
      tx.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
      return body(tx);
    });
  }
  template <class Body>
  auto Write(absl::string_view doing, Body&& body) {
    auto result = pool_.Transact(doing, std::forward<Body>(body));
    feed_.Wake();
    return result;
  }
  WatchCache& feed() { return feed_; }

 private:
  sql::Pool& pool_;
  WatchCache& feed_;
};

}  // namespace riseml::api
