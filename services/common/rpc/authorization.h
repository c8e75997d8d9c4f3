// Rules of methods: who may call a method at all, read from the protos' option riseml.v1.authorization.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
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

}  // namespace riseml::rpc
