#include "services/common/oci/copy.h"

#include <fcntl.h>

#include "services/common/base/files/file.h"
#include "services/common/base/status_macros.h"

namespace riseml::oci {
namespace {

absl::Status CopyThroughSpool(const Descriptor& layer, const RepositoryAt& from, const RepositoryAt& to,
                              const std::string& directory, const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd spool, OpenFile(directory, O_TMPFILE | O_RDWR, 0600));
  const BlobSink keep = [&spool](absl::string_view bytes) { return WriteAll(spool.get(), bytes); };
  RISEML_RETURN_IF_ERROR(from.registry.ReadBlob(from.name, layer, keep, stop));
  return to.registry.PutBlob(to.name, layer.digest, SourceOfFile(spool.get(), layer.size), stop);
}

absl::Status CopyLayer(const Descriptor& layer, const RepositoryAt& from, const RepositoryAt& to,
                       const std::string& directory, const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(const bool there, to.registry.HasBlob(to.name, layer.digest, stop));
  if (there) return absl::OkStatus();
  if (from.registry.host() == to.registry.host()) {
    RISEML_ASSIGN_OR_RETURN(const bool shared, to.registry.MountBlob(to.name, layer.digest, from.name, stop));
    if (shared) return absl::OkStatus();
  }
  return CopyThroughSpool(layer, from, to, directory, stop);
}

}  // namespace

absl::Status CopyLayers(const Manifest& manifest, const RepositoryAt& from, const RepositoryAt& to,
                        const CopyOptions& options, const std::stop_token& stop) {
  std::size_t layers = 0;
  std::int64_t bytes = 0;
  for (const Descriptor& layer : manifest.layers) {
    RISEML_RETURN_IF_ERROR(CopyLayer(layer, from, to, options.spool_directory, stop));
    bytes += layer.size;
    if (options.on_progress) options.on_progress(++layers, bytes);
  }
  return absl::OkStatus();
}

}  // namespace riseml::oci
