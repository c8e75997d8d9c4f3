// Port to the code of an attempt, and its adapter for gitsync.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "riseml/config/v1/common.pb.h"
#include "services/common/archive/unpack.h"

namespace riseml::agent {

// Thread-safe.
class CodeSource {
 public:
  virtual ~CodeSource() = default;
  // Opens a commit as a tar archive. The reader returns UNAVAILABLE if the source cannot be reached (try again from the
  // beginning) and NOT_FOUND if there is no such commit. It fails once `stop` is requested.
  virtual absl::StatusOr<ChunkReader> Open(const std::string& project_uid, const std::string& commit,
                                           std::stop_token stop) = 0;
};

// Code from gitsync's internal listener.
absl::StatusOr<std::unique_ptr<CodeSource>> MakeGitsyncCodeSource(const std::string& address,
                                                                  const config::v1::ClientTls& tls);

}  // namespace riseml::agent
