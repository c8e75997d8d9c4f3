// Divides a revision into layers of a container image, and writes each as a tar archive.
//
// Equal content gives equal bytes in every revision: all entries have one fixed time. A small tree is one layer. A
// large one has up to four, so that an edit changes one of them. A directory stays in its layer when others change:
// heavy directories have a layer each, the others are spread by a hash of their path, and the last layer holds the
// rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/gitsync/repository/repository.h"
#include "services/gitsync/tar_writer.h"

namespace riseml::gitsync {

// Directory of the code in an image.
inline constexpr char kCodeInImage[] = "code";

// A part of a tree.
struct CodeLayer {
  std::vector<std::string> directories;  // what it holds, sorted; none: the root
  std::vector<std::string> except;       // directories of the root that other layers hold, sorted
  std::string id;                        // 64 hex digits; equal ids mean equal archives
  std::int64_t files = 0, bytes = 0;
};

struct CodeLayerOptions {
  int most_layers = 4;
  std::int64_t divide_files = 5'000;  // a tree with fewer files and bytes is one layer
  std::int64_t divide_bytes = std::int64_t{32} << 20;
};

// Returns the layers of a tree, the lowest first. The root's layer comes last. Errors: those of reading the repository.
absl::StatusOr<std::vector<CodeLayer>> DivideCode(const ObjectDatabase& objects, const git::ObjectId& tree,
                                                  const CodeLayerOptions& options = {});

// Writes a layer below kCodeInImage: owner 0, and writable for group 0, with which jobs run. INVALID_ARGUMENT for names
// that mean deleted files in a layer (".wh."); NOT_FOUND if a directory is absent; or the sink's error.
absl::Status WriteCodeLayer(const ObjectDatabase& objects, const git::ObjectId& tree, const CodeLayer& layer,
                            const ByteSink& sink);

}  // namespace riseml::gitsync
