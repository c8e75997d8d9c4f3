// Takes git objects piece by piece.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/git/object_id.h"

namespace riseml::gitsync {

// Takes one object after the other: Begin, Append until `bytes` have come, End. The caller must keep to the size.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  virtual absl::Status Begin(git::ObjectKind kind, std::int64_t bytes) = 0;
  virtual absl::Status Append(absl::string_view piece) = 0;
  // Returns the id of the object that came since Begin.
  virtual absl::StatusOr<git::ObjectId> End() = 0;
};

}  // namespace riseml::gitsync
