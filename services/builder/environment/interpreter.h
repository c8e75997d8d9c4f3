// Finds the Python package `riseml` that every environment gets, and computes its digest.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace riseml::builder {

// Returns the directory of the package `riseml`: `dir` or `dir`/riseml, the one that holds __init__.py. Empty if `dir`
// is empty.
absl::StatusOr<std::string> FindPackage(const std::string& dir);

// Returns the SHA-256 of names and contents of all files below `package_dir` except compiled ones, 64 hex digits; empty
// if `package_dir` is empty. Refuses more than 1,000 files or files over 4 MiB.
absl::StatusOr<std::string> PackageDigest(const std::string& package_dir);

}  // namespace riseml::builder
