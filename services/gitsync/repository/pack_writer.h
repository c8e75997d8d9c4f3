// Writes one pack from objects that arrive piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"
#include "services/common/git/object_id.h"
#include "services/gitsync/repository/object_sink.h"
#include "services/gitsync/repository/repository.h"

struct z_stream_s;

namespace riseml::gitsync {

// Spools objects to a file and then indexes them. Objects are stored without compression and without deltas (3 to 9
// times as fast as git's own way; saving space is left to the file system). Memory use does not depend on the objects.
// Lives on one thread.
class PackWriter final : public ObjectSink {
 public:
  // `directory` takes the spool and the finished pack.
  static absl::StatusOr<std::unique_ptr<PackWriter>> Create(const std::string& directory);
  ~PackWriter() override;

  absl::Status Begin(git::ObjectKind kind, std::int64_t bytes) override;
  absl::Status Append(absl::string_view piece) override;
  absl::StatusOr<git::ObjectId> End() override;

  // Adds a whole object.
  absl::StatusOr<git::ObjectId> Add(git::ObjectKind kind, absl::string_view content);

  // Indexes the pack. Call it once, after the last object; at least one is needed. Inflates and hashes every object
  // again, with detection of SHA-1 collisions. Pack and index are durable (their place in the directory is not).
  absl::StatusOr<PackFiles> Finish();

 private:
  PackWriter(std::string directory, UniqueFd spool);
  absl::Status Deflate(absl::string_view input, bool last);
  absl::Status Flush();

  const std::string directory_;
  UniqueFd spool_;
  std::unique_ptr<z_stream_s> deflate_;
  git::ObjectHasher hasher_;
  std::string buffer_;
  std::uint32_t objects_ = 0;
};

}  // namespace riseml::gitsync
