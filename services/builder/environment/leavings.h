// Makes the command lines that keep what install steps leave in the project's directory and in HOME as part of the
// environment. Pure.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Command that remembers which files the project's directory (the working directory) has before the steps run.
std::string RememberCommand(absl::string_view python, absl::string_view key);

// Command that copies what has come since then to PATH/.riseml/code, and what is in HOME to PATH/.riseml/home; caches
// are left out and links are not followed. It names files of the project that were changed, which jobs do not get. It
// fails, and says where most of it lies, beyond 4 GiB or 200,000 files.
std::string KeepCommand(absl::string_view python, absl::string_view key, absl::string_view path);

}  // namespace riseml::builder
