// Remembers the caller of each credential from the moment it was checked until the handler asks.
//
// gRPC checks credentials before a handler runs, but the context it offers for carrying the result belongs to the
// connection, not to the call: on one connection several credentials may be used. Hence the result is kept here, by
// credential.
#pragma once

#include <list>
#include <string>
#include <unordered_map>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/access.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::rpc {

// Keys of the table: of a credential, and of a user whom a service acts for. No two of them are the same.
std::string CredentialKey(absl::string_view credential);
std::string ActingKey(absl::string_view service, absl::string_view on_behalf_of);

// The last 10,000 keys that passed a check, with their callers. Thread-safe.
class Identities {
 public:
  static Identities& OfProcess();

  void Put(const std::string& key, const internal::v1::Caller& caller);
  // Returns an empty caller, which only PUBLIC methods admit, when the key is unknown.
  internal::v1::Caller Find(const std::string& key);

 private:
  struct Entry {
    std::string key;
    internal::v1::Caller caller;
  };
  Mutex mu_;
  std::list<Entry> newest_first_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<std::string, std::list<Entry>::iterator> index_ ABSL_GUARDED_BY(mu_);
};

// The token of an "authorization" header; empty when it is not "Bearer TOKEN".
std::string BearerToken(absl::string_view header);

}  // namespace riseml::rpc
