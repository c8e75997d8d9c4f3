// Checks a valid spec for parts that this version cannot run, and warns about parts that have no effect.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {

// Refuses (Reason::kUnsupported) sections that are valid but not yet in this version, by their name.
absl::Status CheckRunnable(const Train& train);

// Sentences about what the section's image does here and about parts that have no effect, to be said once when an
// experiment is created. `containers`: jobs run in containers; absent: it is not known.
std::vector<std::string> Notices(const Train& train, std::optional<bool> containers);

// Warnings about directories that the commands name and that will not be there: /inputs/NAME without an input of that
// name, /shared outside of a set. `inputs` are the names given besides those of the file.
std::vector<std::string> MissingDirectories(const Train& train, const std::set<std::string>& inputs);

}  // namespace riseml::spec
