// Prompts the user for input on a terminal.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace riseml::cli {

// One line of standard input without its newline, at most 4 KiB; nothing at its end.
std::optional<std::string> ReadLine();

// The same without showing what is typed, when standard input is a terminal. Nothing on Ctrl-C and Ctrl-D too.
std::optional<std::string> ReadSecret();

// Asks a question on standard error, e.g. "Disable user paul?"; OK when the answer is "y" or "yes". CANCELLED for any
// other; INVALID_ARGUMENT, which names --yes, when standard input is no terminal.
absl::Status Confirm(const std::string& question);

}  // namespace riseml::cli
