#include "services/builder/environment/interpreter.h"

#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/builder/environment/sha256.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

constexpr int kMaxFiles = 1000;
constexpr std::int64_t kMaxFileBytes = 4 << 20;
}  // namespace

absl::StatusOr<std::string> FindPackage(const std::string& dir) {
  if (dir.empty()) return std::string();
  for (const std::string& candidate : {dir, dir + "/riseml"})
    if (FileExists(candidate + "/__init__.py")) return candidate;
  return Error(Reason::kNotFound, absl::StrCat("find the Python package riseml: no __init__.py in ", dir, " or ", dir,
                                               "/riseml; set `python_client_dir` in the configuration of the builder"));
}

absl::StatusOr<std::string> PackageDigest(const std::string& package_dir) {
  if (package_dir.empty()) return std::string();
  namespace fs = std::filesystem;
  std::map<std::string, std::string> files;  // sorted: the digest does not depend on the directory's order
  std::error_code error;
  for (fs::recursive_directory_iterator it(package_dir, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string();
    std::error_code ignored;
    if (!it->is_regular_file(ignored) || absl::StrContains(path, "__pycache__")) continue;
    if (static_cast<int>(files.size()) == kMaxFiles)
      return Error(Reason::kLimitExceeded,
                   absl::StrCat("read the Python package in ", package_dir, ": more than ", kMaxFiles, " files"));
    RISEML_ASSIGN_OR_RETURN(files[path.substr(package_dir.size())], ReadFile(path, kMaxFileBytes));
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("read the Python package in ", package_dir));
  std::string text;
  for (const auto& [path, content] : files)
    absl::StrAppend(&text, path.size(), ":", path, content.size(), ":", content);
  return Sha256Hex(text);
}

}  // namespace riseml::builder
