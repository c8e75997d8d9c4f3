#include "services/common/rpc/remote_authenticator.h"

#include <openssl/sha.h>

#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::rpc {
namespace {

constexpr absl::Duration kRemember = absl::Seconds(1);
constexpr std::size_t kMaxEntries = 10'000;

std::string Hash(absl::string_view text) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

}  // namespace

RemoteAuthenticator::RemoteAuthenticator(std::shared_ptr<grpc::Channel> channel, const Clock& clock)
    : stub_(internal::v1::AccessService::NewStub(channel)), clock_(clock) {}

absl::StatusOr<internal::v1::Caller> RemoteAuthenticator::Authenticate(absl::string_view credential) {
  const std::string hash = Hash(credential);
  std::int64_t generation = 0;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(hash);
    if (it != entries_.end() && clock_.Now() < it->second.until) return it->second.caller;
    generation = generation_;
  }
  internal::v1::AuthenticateRequest request;
  request.set_credential(std::string(credential));
  RISEML_ASSIGN_OR_RETURN(const auto caller, Invoke<internal::v1::Caller>([&](auto* context, auto* response) {
                            return stub_->Authenticate(context, request, response);
                          }));
  MutexLock lock(mu_);
  // An answer from before a change must not outlive it.
  if (generation != generation_) return caller;
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_[hash] = {caller, clock_.Now() + kRemember};
  return caller;
}

void RemoteAuthenticator::Forget() {
  MutexLock lock(mu_);
  entries_.clear();
  ++generation_;
}

absl::StatusOr<internal::v1::CheckResponse> RemoteAuthenticator::Check(
    absl::string_view credential, internal::v1::CheckRequest::Permission permission, absl::string_view resource) {
  internal::v1::CheckRequest request;
  request.set_credential(std::string(credential));
  request.set_permission(permission);
  request.set_resource(std::string(resource));
  return Invoke<internal::v1::CheckResponse>(
      [&](auto* context, auto* response) { return stub_->Check(context, request, response); });
}

}  // namespace riseml::rpc
