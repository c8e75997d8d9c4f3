#include "services/common/spec/node.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

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

}  // namespace riseml::spec
