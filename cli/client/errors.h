// Errors as people read them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitOtherError = 2;  // of wait, whose 1 means something else
inline constexpr int kExitKilled = 3;
inline constexpr int kExitUnknown = 4;
inline constexpr int kExitInterrupted = 130;

// Remembers on an error which call it came from; ErrorText prints it where it helps.
absl::Status WithCall(const absl::Status& status, absl::string_view server, absl::string_view address,
                      absl::string_view request_id);

// Remembers what to do next; ErrorText prints it below the message.
absl::Status WithHint(const absl::Status& status, absl::string_view hint);

// True when a call failed because no server answered, rather than because one refused.
bool IsUnreachable(const absl::Status& status);

// "ERROR: …", a line for each wrong field that the message does not explain already and, where there is one, a line
// that says what to do next. Every line ends in a newline.
std::string ErrorText(const absl::Status& status);

}  // namespace riseml::cli
