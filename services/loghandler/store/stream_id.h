// Id of a log stream: one attempt of a job.
#pragma once

#include <compare>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"

namespace riseml::loghandler {

struct StreamId {
  JobId job;
  int attempt = 0;  // 1 or more
  friend auto operator<=>(const StreamId&, const StreamId&) = default;

  template <class H>
  friend H AbslHashValue(H state, const StreamId& id) {
    return H::combine(std::move(state), id.job, id.attempt);
  }
};

// True when the id may be part of a path.
inline bool IsValid(const StreamId& id) { return IsUuid(id.job.value) && id.attempt >= 1; }

// "<job uid>/<attempt>", as in paths and messages.
inline std::string Print(const StreamId& id) { return absl::StrCat(id.job.value, "/", id.attempt); }

}  // namespace riseml::loghandler
