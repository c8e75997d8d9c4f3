#include "services/agent/output/outputs.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {

namespace fs = std::filesystem;

absl::Status RemoveOutput(const std::string& volume, const std::string& item) {
  const std::vector<std::string> parts = absl::StrSplit(item, '/');
  const auto bad = [](const std::string& part) { return part.empty() || part == "." || part == ".."; };
  if (parts.size() != 3 || std::ranges::any_of(parts, bad))
    return Error(Reason::kInvalidArgument, absl::StrCat("'", item, "' is not an output: USER/PROJECT/N"));
  std::error_code error;
  const fs::path root = fs::canonical(volume, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("find the output volume ", volume));
  const fs::path wanted = root / parts[0] / parts[1], parent = fs::canonical(wanted, error);
  if (error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  if (error) return ErrnoError(error.value(), absl::StrCat("find ", wanted.string()));
  if (parent != wanted)
    return absl::FailedPreconditionError(
        absl::StrCat("the output ", item, " is not removed: ", wanted.string(), " leads to ", parent.string()));
  return RemoveTree((parent / parts[2]).string());
}

}  // namespace riseml::agent
