// Finds the owner of an API key, a name or an attempt.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/access.pb.h"
#include "services/api/data/api_keys.h"
#include "services/api/data/database.h"
#include "services/common/base/id.h"

namespace riseml::api {

// Thread-safe.
class CallerStore {
 public:
  explicit CallerStore(Database& db) : db_(db) {}  // `db` outlives this

  // Returns the user a key belongs to. UNAUTHENTICATED, whatever is wrong with the key.
  absl::StatusOr<internal::v1::Caller> FindByKey(const ApiKey& key);
  // The user with this name part. UNAUTHENTICATED for one who is absent or disabled.
  absl::StatusOr<internal::v1::Caller> FindByName(const std::string& name);
  // The owner of an attempt, when the attempt lives or has ended less than `grace` ago.
  absl::StatusOr<internal::v1::Caller> FindByAttempt(const AttemptId& id, absl::Duration grace);

 private:
  Database& db_;
};

}  // namespace riseml::api
