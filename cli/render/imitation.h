// Finds printed lines that could be taken for lines of ours. Pure.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml::cli {

// Mark before a line that only looks like one of ours.
inline constexpr absl::string_view kPrintedMark = "printed: ";

// True for a line, without control sequences, that looks like a change of state ("--> FINISHED", also with blanks
// before it or with another arrow) or like a note on a log.
bool LooksLikeOurs(absl::string_view line);

// True for a line that explains a change of state when it follows one: "Reason: …", "Message: …", "Exit Code: …".
bool LooksLikeExplanation(absl::string_view line);

}  // namespace riseml::cli
