// Frees the space of blobs that no image of the registry names any more.
//
// docker-registry removes the images that it is told to remove, but never their layers, and its own garbage collection
// needs a registry to which nobody pushes. This one works on the files of a registry in use. They lie below
// ROOT/docker/registry/v2:
//   repositories/NAME/_manifests/revisions/sha256/HEX/link   an image of NAME
//   repositories/NAME/_layers/sha256/HEX/link                a layer or a configuration that NAME has
//   blobs/sha256/HE/HEX/data                                 content of either
//
// A sweep first removes the links of a repository that none of its images names, and the next sweep removes blobs
// without links. Both leave alone what is younger than kBlobAge, since a push may need it: it sends its layers first,
// and its image in the end. A push that found an older layer there just before the link is removed fails; the layer is
// sent when the push is repeated.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"

namespace riseml::builder {

// Longer than the token of a build is valid, and so than a push can take.
inline constexpr absl::Duration kBlobAge = absl::Hours(25);

struct SweptBlobs {
  int links = 0;
  int blobs = 0;
  std::int64_t bytes = 0;
};

// Sweeps the files of a registry. An error, e.g. for a manifest that cannot be read, leaves all files as they are.
// CANCELLED when stopped.
absl::StatusOr<SweptBlobs> SweepBlobs(const std::string& root, absl::Time now, const std::stop_token& stop = {});

// Sweeps once an hour, in its own thread. `clock` must outlive it.
class BlobSweeper {
 public:
  BlobSweeper(std::string root, const Clock& clock);

 private:
  void Run(const std::stop_token& stop) const;

  const std::string root_;
  const Clock& clock_;
  std::jthread thread_;
};

}  // namespace riseml::builder
