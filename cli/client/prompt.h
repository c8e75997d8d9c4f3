// Prompts the user for input on a terminal.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml::cli {

// One line of standard input without its newline, at most 4 KiB. CANCELLED if standard input has ended.
absl::StatusOr<std::string> ReadLine();

// The same without showing what is typed, when standard input is a terminal. CANCELLED for Ctrl-C and Ctrl-D too.
absl::StatusOr<std::string> ReadSecret();

// True for the status that Ctrl-C gives.
bool IsInterrupted(const absl::Status& status);

// Asks a question on standard error, e.g. "Disable user paul?"; OK when the answer is "y" or "yes". CANCELLED,
// "Nothing was changed.", for any other; INVALID_ARGUMENT, which names --yes, when standard input is not a terminal.
absl::Status Confirm(const std::string& question);

}  // namespace riseml::cli
