// Port from Follow to api: which streams a name stands for, and whether a credential may still read it.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/log_registry.pb.h"

namespace riseml::loghandler {

// Thread-safe. Calls `done` at most once, later, on some thread, never from within the call itself. Never calls it once
// the registry is stopped.
class StreamRegistry {
 public:
  using Listed = std::function<void(absl::StatusOr<internal::v1::ListStreamsResponse>)>;
  using Checked = std::function<void(absl::Status)>;

  virtual ~StreamRegistry() = default;
  // NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED are api's answer; anything else means that it could not answer.
  virtual void ListStreams(absl::string_view credential, absl::string_view name, Listed done) = 0;
  virtual void CheckRead(absl::string_view credential, absl::string_view name, Checked done) = 0;
};

}  // namespace riseml::loghandler
