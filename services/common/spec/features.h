// What of a valid spec this version can run, and what the user ought to know before it does.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {

// Refuses (Reason::kUnsupported) sections that are valid but not yet in this version, by their name.
absl::Status CheckRunnable(const Train& train);

// Sentences about parts of the section that have no effect here, to be said once when an experiment is created.
std::vector<std::string> Notices(const Train& train);

}  // namespace riseml::spec
