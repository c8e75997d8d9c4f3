// The secrets of an attempt on their way to its commands.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// Adds the values of `dir`/secrets.pb to the variables of the plan and removes the file. Without the file there are
// none.
absl::Status TakeSecrets(const std::string& dir, internal::v1::RunPlan* plan);

}  // namespace riseml::agent
