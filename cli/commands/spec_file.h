// A riseml.yml on disk, read and checked.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/common/spec/spec.h"

namespace riseml::cli {

struct SpecFile {
  std::string path;
  std::string text;
  spec::Spec spec;
};

// Errors begin with "invalid config FILE" and name file, line and column.
absl::StatusOr<SpecFile> ReadSpecFile(const std::string& path);

}  // namespace riseml::cli
