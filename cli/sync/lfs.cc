#include "cli/sync/lfs.h"

#include "absl/strings/match.h"

namespace riseml::sync {

bool IsLfsPointer(absl::string_view beginning, std::int64_t bytes) {
  return bytes < static_cast<std::int64_t>(kLfsPointerBytes) &&
         (absl::StartsWith(beginning, "version https://git-lfs.github.com/spec/") ||
          absl::StartsWith(beginning, "version https://hawser.github.com/spec/")) &&
         absl::StrContains(beginning, "\noid ") && absl::StrContains(beginning, "\nsize ");
}

}  // namespace riseml::sync
