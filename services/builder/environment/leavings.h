// Makes the commands that keep files which install steps leave in the project's directory and in HOME. The files become
// part of the environment. Pure.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Command that remembers which files the project's directory (the working directory) has before the steps run.
std::string RememberCommand(absl::string_view python, absl::string_view key);

// Command that copies files added since then to PATH/.riseml/code, and the files in HOME to PATH/.riseml/home. Leaves
// out caches and does not follow links. Names the project's files that steps changed; jobs get these as uploaded.
// Beyond 4 GiB or 200,000 files it fails and says where most of it lies.
std::string KeepCommand(absl::string_view python, absl::string_view key, absl::string_view path);

}  // namespace riseml::builder
