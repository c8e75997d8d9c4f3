// The client side of the result socket: `riseml-report NAME=VALUE…`, for programs that are not written in Python.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::agent {

// Returns the line for the socket that reports `arguments`, each NAME=VALUE. A value that is a number becomes a number,
// true and false (also True and False, as Python prints them) become booleans, everything else is text; with
// `all_text` every value is text. The last value of a name counts. Returns INVALID_ARGUMENT or LIMIT_EXCEEDED with a
// message for the user.
absl::StatusOr<std::string> ReportLine(const std::vector<std::string>& arguments, bool all_text);

// Sends the line to the socket of the job and waits until the results are stored. Blocks for at most 2 minutes.
// `socket` is the value of RISEML_SOCKET; empty: it is not set.
absl::Status SendReport(const std::string& socket, absl::string_view line);

}  // namespace riseml::agent
