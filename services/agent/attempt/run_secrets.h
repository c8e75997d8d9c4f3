// Passes the secrets of an attempt on to its commands.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/attempt/attempt_dir.h"

namespace riseml::agent {

// Adds the values of `dir`/secrets.pb to the variables of the plan and removes the file. No effect if the file is
// absent.
absl::Status TakeSecrets(const std::string& dir, internal::v1::RunPlan* plan);

// Texts that must not be seen outside of the attempt: its secrets, and the passwords in URLs of its commands and
// variables. They are read from files that the job cannot reach.
absl::StatusOr<std::vector<std::string>> HiddenValues(const AttemptDir& dir);

}  // namespace riseml::agent
