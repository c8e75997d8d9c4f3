// Copies layers of images between repositories and registries.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "services/common/oci/manifest.h"
#include "services/common/oci/registry.h"

namespace riseml::oci {

struct RepositoryAt {
  Registry& registry;
  std::string name;
};

struct CopyOptions {
  std::string spool_directory;  // where a layer lies between download and upload; it needs room for the largest one
  // Called after each layer with the number of layers and of bytes that are done.
  std::function<void(std::size_t layers, std::int64_t bytes)> on_progress;
};

// Makes all layers of a manifest, which lie in `from`, part of `to`. Layers that are there are skipped; within one
// registry layers are shared (mounted) if the registry does that; the others are downloaded and uploaded one by one.
// Errors: those of Registry; DISK_FULL.
absl::Status CopyLayers(const Manifest& manifest, const RepositoryAt& from, const RepositoryAt& to,
                        const CopyOptions& options, const std::stop_token& stop = {});

}  // namespace riseml::oci
