// Text of `riseml environment list`. Pure: messages in, text out.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "cli/render/status_view.h"
#include "riseml/v1/environment.pb.h"

namespace riseml::cli {

// A table with a line for each environment, and their number and size.
std::string EnvironmentList(const Viewer& viewer, const v1::ListEnvironmentsResponse& environments);

// The first digits of a key, enough to tell environments apart.
std::string ShortKey(absl::string_view key);

// "Environment: 3f2a91c0, built by 26.build" and, where it is known, a line that says why it was built.
std::string EnvironmentLines(const Viewer& viewer, const v1::UsedEnvironment& environment);

}  // namespace riseml::cli
