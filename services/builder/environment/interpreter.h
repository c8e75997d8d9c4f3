// Finds the Python package `riseml` that every environment gets, and computes its digest.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace riseml::builder {

// The directory of the package `riseml`: `dir` itself or `dir`/riseml, whichever holds __init__.py; empty when `dir`
// is.
absl::StatusOr<std::string> FindPackage(const std::string& dir);

// SHA-256 of names and contents of all files below `package_dir` (compiled files excepted), 64 hex digits; empty when
// `package_dir` is. Refuses more than 1,000 files or files over 4 MiB.
absl::StatusOr<std::string> PackageDigest(const std::string& package_dir);

}  // namespace riseml::builder
