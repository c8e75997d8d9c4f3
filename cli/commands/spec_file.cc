#include "cli/commands/spec_file.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/client/project.h"
#include "services/common/base/files/file.h"
#include "services/common/base/nearest_name.h"
#include "services/common/base/status.h"
#include "services/common/spec/parse.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMaxSpecBytes = 64 << 10;

// A configuration beside `path` that the user may have meant; empty: none.
std::string MeantConfig(const std::string& path) {
  const std::filesystem::path given(path);
  const std::filesystem::path directory = given.parent_path();
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory.empty() ? "." : directory, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::EndsWith(name, ".yml") || absl::EndsWith(name, ".yaml")) names.push_back(name);
  }
  std::ranges::sort(names);
  std::string meant = NearestName(given.filename().string(), names);
  if (meant.empty()) {
    const auto own = std::ranges::find_if(names, [](const auto& name) { return absl::StartsWith(name, "riseml"); });
    if (own != names.end()) meant = *own;
  }
  return meant.empty() ? "" : (directory / meant).string();
}

}  // namespace

absl::StatusOr<SpecFile> ReadSpecFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is a directory; name the configuration in it, e.g. -f ", path, "/riseml.yml"));
  auto text = ReadFile(path, kMaxSpecBytes);
  if (absl::IsNotFound(text.status())) {
    const bool looked = path == kConfigName;
    const std::string meant = MeantConfig(path);
    return WithHint(
        Error(Reason::kNotFound, absl::StrCat(path, looked ? " does not exist, neither here nor in a directory above"
                                                           : " does not exist")),
        meant.empty() ? "Create one with: riseml init" : absl::StrCat("Did you mean ", meant, "? Name it: -f ", meant));
  }
  if (!text.ok()) return While(absl::StrCat("read ", path), text.status());
  auto spec = spec::ParseSpec(*text, path);
  if (!spec.ok())
    return WithMessage(spec.status(), absl::StrCat("invalid config ", path, "\n", spec.status().message()));
  return SpecFile{.path = path, .text = *std::move(text), .spec = *std::move(spec)};
}

}  // namespace riseml::cli
