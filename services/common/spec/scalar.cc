#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/common/spec/node.h"

namespace riseml::spec {
namespace {

// Consumes characters that `accept` takes from the front of `text`; returns how many of them are digits.
template <class Accept>
std::size_t Skip(absl::string_view& text, Accept accept) {
  std::size_t digits = 0;
  while (!text.empty() && accept(text.front())) {
    if (text.front() != '_') ++digits;
    text.remove_prefix(1);
  }
  return digits;
}

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsDecimal(char c) { return IsDigit(c) || c == '_'; }
bool IsBinary(char c) { return c == '0' || c == '1' || c == '_'; }
bool IsOctal(char c) { return (c >= '0' && c <= '7') || c == '_'; }
bool IsHex(char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == '_'; }

void SkipSign(absl::string_view& text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
}

struct Digits {
  absl::string_view text;
  int base;
};

// Digits and base of an integer without its sign, or nothing when it is no integer.
std::optional<Digits> SplitInteger(absl::string_view text) {
  if (text.empty() || text.front() == '_') return std::nullopt;
  const auto all = [](absl::string_view rest, auto accept) { return Skip(rest, accept) > 0 && rest.empty(); };
  if (absl::StartsWith(text, "0b") && all(text.substr(2), IsBinary)) return Digits{text.substr(2), 2};
  if (absl::StartsWith(text, "0o") && all(text.substr(2), IsOctal)) return Digits{text.substr(2), 8};
  if (absl::StartsWith(text, "0x") && all(text.substr(2), IsHex)) return Digits{text.substr(2), 16};
  if (all(text, IsDecimal)) return Digits{text, 10};
  return std::nullopt;
}

bool IsSpecialFloat(absl::string_view unsigned_text) {
  return unsigned_text == ".inf" || unsigned_text == ".Inf" || unsigned_text == ".INF";
}

bool IsNan(absl::string_view text) { return text == ".nan" || text == ".NaN" || text == ".NAN"; }

// Consumes an exponent; false when there is an `e` without one.
bool SkipExponent(absl::string_view& text) {
  if (text.empty() || (text.front() != 'e' && text.front() != 'E')) return true;
  text.remove_prefix(1);
  SkipSign(text);
  return Skip(text, IsDigit) > 0;
}

bool IsFloat(absl::string_view text) {
  if (IsNan(text)) return true;
  SkipSign(text);
  if (IsSpecialFloat(text)) return true;
  if (text.empty() || text.front() == '_') return false;
  const std::size_t whole = Skip(text, IsDecimal);
  const bool point = !text.empty() && text.front() == '.';
  std::size_t fraction = 0;
  if (point) {
    text.remove_prefix(1);
    fraction = Skip(text, IsDecimal);
  }
  if (whole + fraction == 0) return false;
  if (!point && text.empty()) return false;
  return SkipExponent(text) && text.empty();
}

// Consumes between `least` and `most` digits.
bool SkipDigits(absl::string_view& text, std::size_t least, std::size_t most) {
  std::size_t count = 0;
  while (count < most && !text.empty() && IsDigit(text.front())) {
    text.remove_prefix(1);
    ++count;
  }
  return count >= least;
}

// True for 2018-01-01, alone or with a time behind it. Checks only the start of the time: no other value looks like it.
bool IsDate(absl::string_view text) {
  const std::size_t size = text.size();
  if (!SkipDigits(text, 4, 4) || !absl::ConsumePrefix(&text, "-")) return false;
  if (!SkipDigits(text, 1, 2) || !absl::ConsumePrefix(&text, "-") || !SkipDigits(text, 1, 2)) return false;
  if (text.empty()) return size == 10;
  if (text.front() != 'T' && text.front() != 't' && text.front() != ' ' && text.front() != '\t') return false;
  text = absl::StripLeadingAsciiWhitespace(text.substr(1));
  if (!SkipDigits(text, 1, 2) || !absl::ConsumePrefix(&text, ":")) return false;
  if (!SkipDigits(text, 2, 2) || !absl::ConsumePrefix(&text, ":") || !SkipDigits(text, 2, 2)) return false;
  if (absl::ConsumePrefix(&text, ".")) SkipDigits(text, 0, text.size());
  text = absl::StripLeadingAsciiWhitespace(text);
  if (text.empty() || text == "Z") return true;
  if (text.front() != '-' && text.front() != '+') return false;
  text.remove_prefix(1);
  if (!SkipDigits(text, 1, 2)) return false;
  return text.empty() || (absl::ConsumePrefix(&text, ":") && SkipDigits(text, 2, 2) && text.empty());
}

bool IsOneOf(absl::string_view text, std::initializer_list<absl::string_view> words) {
  for (absl::string_view word : words)
    if (text == word) return true;
  return false;
}

int DigitValue(char c) {
  if (IsDigit(c)) return c - '0';
  return absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10;
}

}  // namespace

Kind ResolvePlain(absl::string_view text) {
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) return Kind::kNull;
  if (IsOneOf(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) return Kind::kBoolean;
  if (text == "<<") return Kind::kMerge;
  absl::string_view unsigned_text = text;
  SkipSign(unsigned_text);
  if (SplitInteger(unsigned_text)) return Kind::kInteger;
  if (IsFloat(text)) return Kind::kNumber;
  if (IsDate(text)) return Kind::kDate;
  return Kind::kText;
}

std::optional<std::int64_t> IntegerOf(const Node& node) {
  absl::string_view text = node.text;
  const bool negative = absl::StartsWith(text, "-");
  SkipSign(text);
  const std::optional<Digits> digits = SplitInteger(text);
  if (!digits) return std::nullopt;
  std::int64_t value = 0;
  for (char c : digits->text) {
    if (c == '_') continue;
    if (__builtin_mul_overflow(value, static_cast<std::int64_t>(digits->base), &value)) return std::nullopt;
    const std::int64_t digit = negative ? -DigitValue(c) : DigitValue(c);
    if (__builtin_add_overflow(value, digit, &value)) return std::nullopt;
  }
  return value;
}

double NumberOf(const Node& node) {
  absl::string_view text = node.text;
  if (IsNan(text)) return std::numeric_limits<double>::quiet_NaN();
  const double sign = absl::StartsWith(text, "-") ? -1 : 1;
  SkipSign(text);
  if (IsSpecialFloat(text)) return sign * std::numeric_limits<double>::infinity();
  if (const std::optional<Digits> digits = SplitInteger(text)) {
    double value = 0;
    for (char c : digits->text)
      if (c != '_') value = value * digits->base + DigitValue(c);
    return sign * value;
  }
  double value = 0;
  if (!absl::SimpleAtod(absl::StrReplaceAll(text, {{"_", ""}}), &value))
    return std::numeric_limits<double>::quiet_NaN();
  return sign * value;
}

}  // namespace riseml::spec
