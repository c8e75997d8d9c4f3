// Checks a valid spec for parts that this version cannot run, and warns about parts that have no effect.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {

// Refuses (Reason::kUnsupported) sections that are valid but not yet in this version, by their name.
absl::Status CheckRunnable(const Train& train);

// Sentences about parts of the section that have no effect here, to be said once when an experiment is created.
std::vector<std::string> Notices(const Train& train);

// Warnings about directories that the commands name and that will not be there: /inputs/NAME without an input of that
// name, /shared outside of a set. `inputs` are the names given besides those of the file.
std::vector<std::string> MissingDirectories(const Train& train, const std::set<std::string>& inputs);

}  // namespace riseml::spec
