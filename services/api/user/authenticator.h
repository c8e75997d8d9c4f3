// Finds the owners of credentials and names in the database, and remembers them for at most 5 s.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "services/api/data/attempt_tokens.h"
#include "services/api/user/caller_store.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/server.h"

namespace riseml::api {

// Thread-safe. Remembers at most 10,000 good credentials and names; bad ones are looked up each time.
class Authenticator final : public rpc::Authenticator, public rpc::UserDirectory {
 public:
  // `callers`, `tokens` and `clock` outlive this. `token_grace`: how long a token works after its attempt's end.
  Authenticator(CallerStore& callers, const AttemptTokens& tokens, const Clock& clock, absl::Duration token_grace)
      : callers_(callers), tokens_(tokens), clock_(clock), token_grace_(token_grace) {}

  absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view credential) override;
  absl::StatusOr<internal::v1::Caller> FindUser(absl::string_view user) override;
  // Returns the current identity of the caller of an open call. UNAUTHENTICATED or PERMISSION_DENIED if the caller
  // may not go on with it.
  absl::StatusOr<internal::v1::Caller> Recheck(const rpc::Call& call);

  // Looks up every caller again from now on.
  void Forget();
  // Grows with each Forget.
  std::int64_t generation();

 private:
  enum class Source { kCredential, kName };
  absl::StatusOr<internal::v1::Caller> Find(Source source, absl::string_view text);
  absl::StatusOr<internal::v1::Caller> LookUp(Source source, absl::string_view text);
  struct Entry {
    internal::v1::Caller caller;
    absl::Time until;
  };
  CallerStore& callers_;
  const AttemptTokens& tokens_;
  const Clock& clock_;
  const absl::Duration token_grace_;
  Mutex mu_;
  std::map<std::pair<Source, std::string>, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::int64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace riseml::api
