#include "services/common/rpc/authorization.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::rpc {
namespace {

using internal::v1::Caller;
using v1::Authorization;

// The key of one of these certificates can act as any user, so list as few as possible.
constexpr absl::string_view kActingServices[] = {"web"};

absl::Status Unauthenticated() {
  return Error(Reason::kUnauthenticated, "no valid credential; log in with `riseml user login`");
}

// Roles are ordered: an admin may do what a user may, a user what a viewer may.
absl::Status RequireRole(const Caller& caller, v1::User::Role least) {
  if (caller.kind() != Caller::USER) return Unauthenticated();
  if (caller.role() >= least) return absl::OkStatus();
  return Error(Reason::kPermissionDenied, absl::StrCat("this needs role ", v1::User::Role_Name(least), ", you have ",
                                                       v1::User::Role_Name(caller.role())));
}

}  // namespace

Authorization RuleOf(const google::protobuf::MethodDescriptor& method) {
  return method.options().GetExtension(v1::authorization);
}

const google::protobuf::MethodDescriptor* FindMethod(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, "/")) return nullptr;
  std::string name(path);
  std::replace(name.begin(), name.end(), '/', '.');
  return google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
}

absl::Status CheckRule(const Authorization& rule, const Caller& caller) {
  switch (rule.access()) {
    case Authorization::PUBLIC:
      return absl::OkStatus();
    case Authorization::VIEWER:
      return RequireRole(caller, v1::User::VIEWER);
    case Authorization::USER:
      return RequireRole(caller, v1::User::USER);
    case Authorization::ADMIN:
      return RequireRole(caller, v1::User::ADMIN);
    case Authorization::JOB:
      return caller.kind() == Caller::JOB ? absl::OkStatus() : Unauthenticated();
    case Authorization::SERVICE:
      if (caller.kind() != Caller::SERVICE) return Unauthenticated();
      if (std::find(rule.services().begin(), rule.services().end(), caller.service()) != rule.services().end())
        return absl::OkStatus();
      return Error(Reason::kPermissionDenied, absl::StrCat("service ", caller.service(), " may not call this method"));
    default:
      return Error(Reason::kPermissionDenied, "method without an authorisation rule");
  }
}

bool MayActForUsers(absl::string_view service) {
  return std::find(std::begin(kActingServices), std::end(kActingServices), service) != std::end(kActingServices);
}

absl::Status CheckStillAllowed(const Caller& before, const absl::StatusOr<Caller>& now) {
  if (absl::IsUnauthenticated(now.status()))
    return WithMessage(
        now.status(),
        "this call ends: its API key is not valid any more, as the key was changed or the user disabled; "
        "what runs goes on");
  RISEML_RETURN_IF_ERROR(now.status());
  if (now->role() >= before.role()) return absl::OkStatus();
  return Error(Reason::kPermissionDenied,
               absl::StrCat("this call ends: it began with role ", v1::User::Role_Name(before.role()),
                            ", and you have role ", v1::User::Role_Name(now->role()), " now; call again"));
}

}  // namespace riseml::rpc
