#include "services/agent/run_secrets.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/agent/attempt_dir.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {

absl::Status TakeSecrets(const std::string& dir, internal::v1::RunPlan* plan) {
  const std::string path = dir + "/secrets.pb";
  const absl::StatusOr<internal::v1::AttemptSecrets> secrets = ReadMessage<internal::v1::AttemptSecrets>(path);
  if (HasReason(secrets.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(secrets.status());
  for (const auto& [name, value] : secrets->values()) (*plan->mutable_environment())[name] = value;
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("remove ", path));
}

}  // namespace riseml::agent
