// Ids as types: an id of one kind does not convert to an id of another.
#pragma once

#include <compare>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace riseml {

template <class Tag>
struct Id {
  std::string value;
  friend auto operator<=>(const Id&, const Id&) = default;

  template <class H>
  friend H AbslHashValue(H state, const Id& id) {
    return H::combine(std::move(state), id.value);
  }
};

using ProjectId = Id<struct ProjectTag>;  // UUID of a project
using UserId = Id<struct UserTag>;        // UUID of a user

// Names an attempt of a job.
struct AttemptId {
  std::string job_uid;
  int attempt = 0;  // 1 or more
  friend auto operator<=>(const AttemptId&, const AttemptId&) = default;

  template <class H>
  friend H AbslHashValue(H state, const AttemptId& id) {
    return H::combine(std::move(state), id.job_uid, id.attempt);
  }
};

// A random (version 4) UUID in lower-case text, from the system's cryptographic generator.
std::string NewUuid();

// True for the 36-character text form of a UUID.
bool IsUuid(absl::string_view text);

// `bytes` random bytes from the system's cryptographic generator.
std::string RandomBytes(int bytes);

}  // namespace riseml
