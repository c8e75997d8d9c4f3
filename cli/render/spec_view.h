// Renders the content of a riseml.yml as text and as JSON. Pure.
#pragma once

#include <string>

#include "services/common/spec/spec.h"

namespace riseml::cli {

// "Project census: set of 6 experiments, 2 at a time, each with 1 CPU, 512 MB memory, 0 GPUs".
std::string PlanText(const spec::Spec& spec);

// The spec with defaults as a JSON object {"project", "train"}. `indent`: blanks for each level; -1: on one line.
std::string NormalJson(const spec::Spec& spec, int indent);

}  // namespace riseml::cli
