#include "services/agent/attempt/run_secrets.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"

namespace riseml::agent {

absl::Status TakeSecrets(const std::string& dir, internal::v1::RunPlan* plan) {
  const std::string path = dir + "/secrets.pb";
  const absl::StatusOr<internal::v1::AttemptSecrets> secrets = ReadMessage<internal::v1::AttemptSecrets>(path);
  if (HasReason(secrets.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(secrets.status());
  for (const auto& [name, value] : secrets->values()) (*plan->mutable_environment())[name] = value;
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("remove ", path));
}

absl::StatusOr<std::vector<std::string>> HiddenValues(const AttemptDir& dir) {
  std::vector<std::string> hidden;
  const auto secrets = ReadMessage<internal::v1::AttemptSecrets>(dir.secrets());
  if (!secrets.ok() && !HasReason(secrets.status(), Reason::kNotFound)) return secrets.status();
  if (secrets.ok())
    for (const auto& [name, value] : secrets->values()) hidden.push_back(value);
  RISEML_ASSIGN_OR_RETURN(const internal::v1::StartAttemptRequest start,
                          ReadMessage<internal::v1::StartAttemptRequest>(dir.start()));
  const auto add = [&hidden](const std::string& text) {
    for (std::string& password : logtext::UrlPasswords(text)) hidden.push_back(std::move(password));
  };
  for (const internal::v1::BuildStep& step : start.build_steps()) add(step.command());
  for (const std::string& command : start.template_().commands()) add(command);
  for (const auto& [name, value] : start.template_().variables()) add(value);
  return hidden;
}

}  // namespace riseml::agent
