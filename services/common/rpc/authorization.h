// Rules of methods: who may call a method at all, read from the protos' option riseml.v1.authorization.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/access.pb.h"
#include "riseml/v1/authorization.pb.h"

namespace riseml::rpc {

// The rule of a method; ACCESS_UNSPECIFIED when it has none.
v1::Authorization RuleOf(const google::protobuf::MethodDescriptor& method);

// Method of a call path "/riseml.v1.JobService/GetJob"; nullptr when unknown.
const google::protobuf::MethodDescriptor* FindMethod(absl::string_view path);

// OK when the rule lets the caller in. UNAUTHENTICATED for nobody, PERMISSION_DENIED for the wrong role, kind or
// service.
absl::Status CheckRule(const v1::Authorization& rule, const internal::v1::Caller& caller);

// Returns whether this service may make calls of users on their behalf.
bool MayActForUsers(absl::string_view service);

// Checks a call that is still open: `before` is who began it, `now` what its credential says now. UNAUTHENTICATED when
// it is not valid any more, PERMISSION_DENIED when the role was lowered; both messages say that the call ends for this
// reason. Returns an error that leaves the question open as it is.
absl::Status CheckStillAllowed(const internal::v1::Caller& before, const absl::StatusOr<internal::v1::Caller>& now);

}  // namespace riseml::rpc
