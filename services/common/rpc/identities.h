// Who showed which credential, from the moment it was checked until the handler asks.
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

// The last 10,000 credentials that passed a check, with their callers. Thread-safe.
class Identities {
 public:
  static Identities& OfProcess();

  void Put(const std::string& credential, const internal::v1::Caller& caller);
  // An empty caller (which no method but PUBLIC ones admits) when unknown.
  internal::v1::Caller Find(const std::string& credential);

 private:
  struct Entry {
    std::string credential;
    internal::v1::Caller caller;
  };
  Mutex mu_;
  std::list<Entry> newest_first_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<std::string, std::list<Entry>::iterator> index_ ABSL_GUARDED_BY(mu_);
};

// The token of an "authorization" header; empty when it is not "Bearer TOKEN".
std::string BearerToken(absl::string_view header);

}  // namespace riseml::rpc
