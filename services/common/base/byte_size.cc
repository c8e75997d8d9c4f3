#include "services/common/base/byte_size.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace riseml {
namespace {

constexpr absl::string_view kSizeUnits = "KMGTP";
constexpr double kStep = 1024;
constexpr double kBeyondSizes = 9'223'372'036'854'775'808.;  // 2^63

}  // namespace

std::string PrintSize(std::int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, bytes == 1 ? " byte" : " bytes");
  double amount = static_cast<double>(bytes) / kStep;
  std::size_t unit = 0;
  // An amount that would round to 1,024 becomes 1 of the next unit.
  for (; amount >= kStep - 0.05 && unit + 1 < kSizeUnits.size(); ++unit) amount /= kStep;
  const std::string number = absl::StrFormat("%.1f", amount);
  return absl::StrCat(absl::StripSuffix(number, ".0"), " ", kSizeUnits.substr(unit, 1), "iB");
}

std::optional<std::int64_t> ReadSize(absl::string_view text) {
  absl::string_view rest = text;
  const bool with_bytes = absl::ConsumeSuffix(&rest, "iB") || absl::ConsumeSuffix(&rest, "B");
  double factor = 1;
  if (const std::size_t unit = rest.empty() ? kSizeUnits.npos : kSizeUnits.find(absl::ascii_toupper(rest.back()));
      unit != kSizeUnits.npos) {
    factor = std::pow(kStep, static_cast<double>(unit + 1));
    rest.remove_suffix(1);
  } else if (with_bytes) {
    return std::nullopt;
  }
  double amount = 0;
  if (rest.find_first_not_of("0123456789.") != rest.npos || !absl::SimpleAtod(rest, &amount)) return std::nullopt;
  const double bytes = amount * factor;
  if (bytes >= kBeyondSizes) return std::nullopt;
  return static_cast<std::int64_t>(bytes);
}

}  // namespace riseml
