#include "services/common/spec/node.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLongestValue = 80;

// Quotes text so that it stays on one line and cannot reach the terminal's controls.
void AppendQuoted(absl::string_view text, std::string& out) {
  out += '\'';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (out.size() > kLongestValue && (c & 0xC0) != 0x80) {
      out += "…";
      break;
    }
    if (c == '\'' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, static_cast<char>(c)));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7F || (c == 0xC2 && i + 1 < text.size() && (text[i + 1] & 0xE0) == 0x80)) {
      absl::StrAppendFormat(&out, "\\x%02x", c == 0xC2 ? static_cast<unsigned char>(text[++i]) : c);
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '\'';
}

void Append(const Node& node, std::string& out);

void AppendItems(const Node& node, std::string& out) {
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    if (i > 0) out += ", ";
    if (out.size() > kLongestValue) {
      out += "…";
      return;
    }
    if (node.kind == Kind::kMapping) {
      Append(node.keys[i], out);
      out += ": ";
    }
    Append(node.children[i], out);
  }
}

void Append(const Node& node, std::string& out) {
  switch (node.kind) {
    case Kind::kNull:
      out += "None";
      return;
    case Kind::kBoolean:
      out += absl::ascii_tolower(static_cast<unsigned char>(node.text[0])) == 't' ? "True" : "False";
      return;
    case Kind::kInteger:
    case Kind::kNumber:
    case Kind::kDate:
      absl::StrAppend(&out, absl::string_view(node.text).substr(0, kLongestValue));
      return;
    case Kind::kText:
    case Kind::kMerge:
      AppendQuoted(node.text, out);
      return;
    case Kind::kSequence:
      out += '[';
      AppendItems(node, out);
      out += ']';
      return;
    case Kind::kMapping:
      out += '{';
      AppendItems(node, out);
      out += '}';
      return;
  }
}

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
bool IsJsonNumber(absl::string_view text) {
  const auto digits = [&text] {
    std::size_t count = 0;
    while (!text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text.front()))) {
      text.remove_prefix(1);
      ++count;
    }
    return count;
  };
  absl::ConsumePrefix(&text, "-");
  const bool zero = absl::StartsWith(text, "0");
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (absl::ConsumePrefix(&text, ".") && digits() == 0) return false;
  if (absl::ConsumePrefix(&text, "e") || absl::ConsumePrefix(&text, "E")) {
    if (!absl::ConsumePrefix(&text, "+")) absl::ConsumePrefix(&text, "-");
    if (digits() == 0) return false;
  }
  return text.empty();
}

}  // namespace

std::string PythonText(const Node& node) {
  std::string out;
  Append(node, out);
  if (out.size() <= kLongestValue + 32) return out;
  std::size_t cut = kLongestValue;
  while (cut > 0 && (static_cast<unsigned char>(out[cut]) & 0xC0) == 0x80) --cut;
  out.resize(cut);
  return absl::StrCat(out, "…");
}

std::string JsonText(const Node& node) {
  std::string out;
  switch (node.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBoolean:
      return PythonText(node) == "True" ? "true" : "false";
    case Kind::kInteger:
      if (const auto integer = IntegerOf(node)) return absl::StrCat(*integer);
      return IsJsonNumber(node.text) ? node.text : JsonString(node.text);
    case Kind::kNumber:
      if (IsJsonNumber(node.text)) return node.text;
      return std::isfinite(NumberOf(node)) ? absl::StrCat(NumberOf(node)) : JsonString(node.text);
    case Kind::kText:
    case Kind::kDate:
    case Kind::kMerge:
      return JsonString(node.text);
    case Kind::kSequence:
      for (const Node& child : node.children) absl::StrAppend(&out, out.empty() ? "" : ",", JsonText(child));
      return absl::StrCat("[", out, "]");
    case Kind::kMapping:
      for (std::size_t i = 0; i < node.keys.size(); ++i)
        absl::StrAppend(&out, out.empty() ? "" : ",", JsonString(node.keys[i].text), ":", JsonText(node.children[i]));
      return absl::StrCat("{", out, "}");
  }
  return out;
}

}  // namespace riseml::spec
