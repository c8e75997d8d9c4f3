#include "services/common/base/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"

namespace riseml {
namespace {

constexpr std::size_t kMostEdits = 3;
constexpr std::size_t kLongestCompared = 40;

// Without '-' and '_', in lower case, cut to the compared length.
std::string PlainName(absl::string_view name) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(0, kLongestCompared)), {{"-", ""}, {"_", ""}});
}

std::size_t Distance(absl::string_view a, absl::string_view b) {
  const std::string from = PlainName(a), to = PlainName(b);
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replace = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string NearestName(absl::string_view name, const std::vector<std::string>& known) {
  std::string nearest;
  std::size_t least = kMostEdits + 1;
  if (name.size() > kLongestCompared) return nearest;
  for (const std::string& candidate : known) {
    const std::size_t distance = Distance(name, candidate);
    if (2 * distance >= std::max(name.size(), candidate.size()) || distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace riseml
