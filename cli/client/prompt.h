// Questions to the person at the terminal.
#pragma once

#include <optional>
#include <string>

namespace riseml::cli {

// One line of standard input without its newline, at most 4 KiB; nothing at its end.
std::optional<std::string> ReadLine();

// The same without showing what is typed, when standard input is a terminal. Nothing on Ctrl-C and Ctrl-D too.
std::optional<std::string> ReadSecret();

}  // namespace riseml::cli
