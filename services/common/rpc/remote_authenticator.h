// Authenticates users for services other than api: asks api and remembers the answer for at most 1 s.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "riseml/internal/v1/access.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/server.h"

namespace riseml::rpc {

// Thread-safe. At most 10,000 credentials are remembered, by hash.
class RemoteAuthenticator final : public Authenticator {
 public:
  // `channel` leads to api's internal listener. `clock` must outlive this object.
  RemoteAuthenticator(std::shared_ptr<grpc::Channel> channel, const Clock& clock);
  absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view credential) override;

  // Forgets all answers: asks api anew about everybody.
  void Forget();

  // Asks api whether the credential may read (or write) this object (AccessService.Check). Does not cache the answer.
  absl::StatusOr<internal::v1::CheckResponse> Check(absl::string_view credential,
                                                    internal::v1::CheckRequest::Permission permission,
                                                    absl::string_view resource);

 private:
  struct Entry {
    internal::v1::Caller caller;
    absl::Time until;
  };
  std::unique_ptr<internal::v1::AccessService::Stub> stub_;
  const Clock& clock_;
  Mutex mu_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::int64_t generation_ ABSL_GUARDED_BY(mu_) = 0;  // grows with each Forget
};

}  // namespace riseml::rpc
