// Readers of the tree, from YAML and from JSON.
#pragma once

#include "absl/status/statusor.h"
#include "services/common/spec/node.h"
#include "services/common/spec/source.h"

namespace riseml::spec {

// The one YAML document of the source; null when it is empty.
absl::StatusOr<Node> ReadYaml(const Source& source);

// The one JSON value of the source. Numbers keep their text.
absl::StatusOr<Node> ReadJson(const Source& source);

}  // namespace riseml::spec
