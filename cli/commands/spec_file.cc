#include "cli/commands/spec_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/client/project.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/spec/parse.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMaxSpecBytes = 64 << 10;

}  // namespace

absl::StatusOr<SpecFile> ReadSpecFile(const std::string& path) {
  auto text = ReadFile(path, kMaxSpecBytes);
  if (absl::IsNotFound(text.status())) {
    const bool looked = path == kConfigName;
    return WithHint(
        Error(Reason::kNotFound, absl::StrCat(path, looked ? " does not exist, neither here nor in a directory above"
                                                           : " does not exist")),
        "Create one with: riseml init");
  }
  if (!text.ok()) return While(absl::StrCat("read ", path), text.status());
  auto spec = spec::ParseSpec(*text, path);
  if (!spec.ok())
    return Error(Reason::kInvalidSpec, absl::StrCat("invalid config ", path, "\n", spec.status().message()));
  return SpecFile{.path = path, .text = *std::move(text), .spec = *std::move(spec)};
}

}  // namespace riseml::cli
