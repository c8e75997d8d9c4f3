// Detects lines of a job's log that look like riseml's own. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml::cli {

// Prefix of a line that only looks like one of riseml's.
inline constexpr absl::string_view kPrintedMark = "printed: ";

// True for a line, without control sequences, that looks like a change of state ("--> FINISHED", also with blanks
// before it or with another arrow) or like a note on a log.
bool LooksLikeOurs(absl::string_view line);

// True for a line that explains a change of state when it follows one: "Reason: …", "Message: …", "Exit Code: …".
bool LooksLikeExplanation(absl::string_view line);

}  // namespace riseml::cli
