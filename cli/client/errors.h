// Exit codes, and the text of errors for people.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitOtherError = 2;  // error of `wait`, where 1 means a failed experiment
inline constexpr int kExitKilled = 3;
inline constexpr int kExitUnknown = 4;
inline constexpr int kExitInterrupted = 130;

// Adds to an error the call that it came from; ErrorText prints the call where it helps.
absl::Status WithCall(const absl::Status& status, absl::string_view server, absl::string_view address,
                      absl::string_view request_id);

// Adds advice on what to do next; ErrorText prints it below the message.
absl::Status WithHint(const absl::Status& status, absl::string_view hint);

// True when a call failed because no server answered, rather than because one refused.
bool IsUnreachable(const absl::Status& status);

// Returns "ERROR: …", a line for each wrong field that the message does not explain already, and the hint if there is
// one. Every line ends in a newline.
std::string ErrorText(const absl::Status& status);

}  // namespace riseml::cli
