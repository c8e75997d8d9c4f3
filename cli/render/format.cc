#include "cli/render/format.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/render/terminal.h"

namespace riseml::cli {
namespace {

std::string Counted(std::int64_t count, absl::string_view unit) {
  return absl::StrCat(count, " ", unit, count == 1 ? "" : "s");
}

std::string ValueText(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return absl::StrFormat("%.5G", value.number_value());
    case google::protobuf::Value::kStringValue:
      return OneLine(value.string_value());
    case google::protobuf::Value::kBoolValue:
      return value.bool_value() ? "True" : "False";
    default:
      return "-";
  }
}

std::string Joined(std::vector<std::pair<std::string, std::string>> pairs) {
  std::sort(pairs.begin(), pairs.end());
  return absl::StrJoin(pairs, ", ", absl::PairFormatter("="));
}

}  // namespace

std::optional<absl::Time> TimeOf(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return std::nullopt;
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

std::string Since(std::optional<absl::Time> then, absl::Time now) {
  if (!then) return "-";
  const std::int64_t seconds = absl::ToInt64Seconds(now - *then);
  if (seconds >= 86400) return Counted(seconds / 86400, "day");
  if (seconds >= 3600) return Counted(seconds / 3600, "hour");
  if (seconds >= 60) return Counted(seconds / 60, "minute");
  if (seconds >= 1) return Counted(seconds, "second");
  return "just now";
}

std::string Took(std::optional<absl::Time> from, std::optional<absl::Time> to) {
  if (!from || !to) return "-";
  const std::int64_t seconds = std::max<std::int64_t>(0, absl::ToInt64Seconds(*to - *from));
  if (seconds >= 3600) return absl::StrCat(seconds / 3600, "h ", seconds / 60 % 60, "m ", seconds % 60, "s");
  if (seconds >= 60) return absl::StrCat(seconds / 60, "m ", seconds % 60, "s");
  return Counted(seconds, "second");
}

std::string Utc(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

std::string Size(std::int64_t bytes) {
  constexpr std::int64_t kKilo = 1024;
  const auto in = [bytes](std::int64_t unit) { return static_cast<double>(bytes) / static_cast<double>(unit); };
  if (bytes >= kKilo * kKilo * kKilo) return absl::StrFormat("%.1f GB", in(kKilo * kKilo * kKilo));
  if (bytes >= kKilo * kKilo) return absl::StrFormat("%.1f MB", in(kKilo * kKilo));
  if (bytes >= kKilo) return absl::StrFormat("%.1f KB", in(kKilo));
  return absl::StrCat(bytes, " B");
}

std::string Grouped(std::int64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string UtcOrNever(const google::protobuf::Timestamp& timestamp) {
  const auto time = TimeOf(timestamp);
  return time ? Utc(*time) : "never";
}

std::string Pairs(const google::protobuf::Map<std::string, std::string>& values) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : values) pairs.emplace_back(OneLine(name), OneLine(value));
  return Joined(std::move(pairs));
}

std::string Pairs(const google::protobuf::Struct& values) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : values.fields()) pairs.emplace_back(OneLine(name), ValueText(value));
  return Joined(std::move(pairs));
}

}  // namespace riseml::cli
