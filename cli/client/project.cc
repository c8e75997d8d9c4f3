#include "cli/client/project.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::cli {
namespace {

namespace fs = std::filesystem;

bool IsHome(const fs::path& directory) {
  const char* home = std::getenv("HOME");
  std::error_code error;
  return home != nullptr && *home != '\0' && fs::equivalent(directory, home, error);
}

bool Holds(const fs::path& directory, const char* name) {
  std::error_code error;
  return fs::exists(directory / name, error);
}

}  // namespace

std::string FindConfig() {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error) return "";
  fs::path relative;
  for (fs::path at = here;; at = at.parent_path(), relative /= "..") {
    if (Holds(at, kConfigName) && (at == here || !IsHome(at))) return (relative / kConfigName).string();
    if (Holds(at, ".git") || at == at.parent_path()) return "";
  }
}

std::string ConfigPath(const std::string& given) {
  if (given != kConfigName) return given;
  const std::string found = FindConfig();
  return found.empty() ? given : found;
}

absl::StatusOr<std::string> ProjectRoot(const std::string& config) {
  std::error_code error;
  fs::path own = fs::path(config).parent_path();
  // The stored configuration of an experiment lies in its output, which is no project.
  const bool stored = fs::path(config).filename() == kStoredConfigName;
  if (own.empty() || stored) own = ".";
  const fs::path start = fs::canonical(own, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("find the directory of ", config));
  if (stored) return start.string();  // a checkout of old code may lie in a project without being part of it
  for (fs::path at = start; at != at.parent_path(); at = at.parent_path()) {
    const bool taken = at == start || !IsHome(at);
    if (taken && (Holds(at, kConfigName) || Holds(at, ".git"))) return at.string();
  }
  return start.string();
}

}  // namespace riseml::cli
