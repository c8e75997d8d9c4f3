// Cache directories of users: models, data sets and packages that their jobs have downloaded.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Removes the least recently used files until at most four fifths of `bytes_limit` are left. No effect while the
// directory is within the limit. Files used within the last hour stay. Links are not followed.
absl::Status TrimCache(const std::string& directory, std::int64_t bytes_limit, std::int64_t now_seconds);

}  // namespace riseml::agent
