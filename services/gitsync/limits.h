// Limits for revisions and pushes.
#pragma once

#include <cstdint>

#include "riseml/config/v1/gitsync.pb.h"

namespace riseml::gitsync {

struct Limits {
  std::int64_t revision_bytes = 500 << 20;
  std::int64_t file_bytes = 100 << 20;
  std::int64_t files = 200'000;
};

// Bounds that are not configurable.
inline constexpr int kMaxDepth = 100;                            // nested directories
inline constexpr std::int64_t kMaxPathBytes = 3'900;             // of a path from the project's root
inline constexpr std::int64_t kMaxTreeBytes = 64 * 1024 * 1024;  // of all tree objects of a push
inline constexpr std::int64_t kMaxLinkBytes = 4'000;             // of a symbolic link's target
inline constexpr std::int64_t kMaxFrameBytes = 256 * 1024;       // of a frame, unpacked
inline constexpr int kMaxFramePieces = 20'000;
inline constexpr int kMaxIdsPerCall = 16'000;

// The configured limits, defaults where the file says nothing.
inline Limits LimitsOf(const config::v1::GitsyncConfig& config) {
  Limits limits;
  if (config.revision_bytes_limit() > 0) limits.revision_bytes = config.revision_bytes_limit();
  if (config.file_bytes_limit() > 0) limits.file_bytes = config.file_bytes_limit();
  if (config.files_limit() > 0) limits.files = config.files_limit();
  return limits;
}

}  // namespace riseml::gitsync
