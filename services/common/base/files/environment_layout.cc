#include "services/common/base/files/environment_layout.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace riseml {

std::string PathOfEnvironment(absl::string_view environments, absl::string_view user, absl::string_view key) {
  return absl::StrCat(environments, "/", user, "/", kWorkName, "/", key);
}

std::optional<std::string> SealedPathOf(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const absl::string_view key = path.substr(slash);
  absl::string_view user = path.substr(0, slash);
  if (key.size() < 2 || !absl::ConsumeSuffix(&user, absl::StrCat("/", kWorkName))) return std::nullopt;
  return absl::StrCat(user, key);
}

}  // namespace riseml
