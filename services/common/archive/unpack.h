// Unpacks code: a tar archive into an empty directory, and nothing outside of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml {

// Returns the next bytes of a stream; empty at its end.
using ChunkReader = std::function<absl::StatusOr<std::string>()>;

struct ArchiveLimits {
  std::int64_t entries = 1'000'000;
  std::int64_t bytes = std::int64_t{64} << 30;
};

// Takes directories, plain files (with their executable bit) and symbolic links, which may lead anywhere.
// INVALID_ARGUMENT for anything else: absolute names, "..", hard links, devices, names that occur twice or lie below a
// link, damaged archives. LIMIT_EXCEEDED beyond the limits. Never follows a link while unpacking.
absl::Status UnpackArchive(const ChunkReader& read, const std::string& directory, const ArchiveLimits& limits = {});

// Makes `relative` below `root`, which exists, without following a link anywhere; returns its whole path.
// INVALID_ARGUMENT for "..", absolute and empty names.
absl::StatusOr<std::string> MakeDirectoriesBelow(const std::string& root, const std::string& relative);

}  // namespace riseml
