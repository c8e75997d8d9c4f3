// Decides what is left out of a revision if no ignore file decides it: secrets, caches, installed packages. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// True for names that usually hold credentials: ".env", "id_rsa", ".dvc/config.local". False for examples and templates
// (".env.example") and source code ("kubeconfig.py"). `path` is relative to the project.
bool LooksLikeSecret(absl::string_view path, bool is_directory);

// Returns why a file or directory of this name is left out; empty if the name does not decide.
std::string ReasonByName(absl::string_view path, bool is_directory);

// Returns why a directory is left out because of its content; empty if it is kept. `names` are its sorted entries;
// `read` returns the beginning of one of them.
using ReadEntry = std::function<std::string(absl::string_view name)>;
std::string ReasonByContents(absl::string_view path, const std::vector<std::string>& names, const ReadEntry& read);

// True for names of source code and settings, whose absence a program notices.
bool LooksLikeCode(absl::string_view path);

}  // namespace riseml::sync
