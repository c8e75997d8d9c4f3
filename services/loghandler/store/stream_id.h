// Id of a log stream: the attempt that has printed it.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"

namespace riseml::loghandler {

using StreamId = AttemptId;

// True when the id may be part of a path.
inline bool IsValid(const StreamId& id) { return IsUuid(id.job_uid) && id.attempt >= 1; }

// "<job uid>/<attempt>", as in paths and messages.
inline std::string Print(const StreamId& id) { return absl::StrCat(id.job_uid, "/", id.attempt); }

}  // namespace riseml::loghandler
