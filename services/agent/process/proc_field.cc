#include "services/agent/process/proc_field.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace riseml::agent {

absl::string_view ProcField(absl::string_view text, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::StripAsciiWhitespace(field.first) == name) return absl::StripAsciiWhitespace(field.second);
  }
  return {};
}

}  // namespace riseml::agent
