// Any bytes, cut into chunks anywhere: folding and sanitising give the same result, within bounds, and nothing that
// drives a terminal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/common/logtext/fold.h"
#include "services/common/logtext/sanitize.h"

namespace {

using riseml::logtext::Line;
using riseml::logtext::LineFolder;
using riseml::logtext::Sanitizer;

constexpr std::size_t kMaxLine = 64;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string Fold(absl::string_view first, absl::string_view rest) {
  std::string all;
  LineFolder folder(0, kMaxLine);
  std::int64_t offset = 0;
  const auto emit = [&](const Line& line) {
    Require(line.text.size() <= kMaxLine);
    Require(line.text.find_first_of("\n\r\b") == std::string::npos);
    Require(line.first_offset >= offset);
    offset = line.first_offset;
    all += std::to_string(line.first_offset) + line.text + (line.kind == Line::Kind::kWhole ? "\n" : "+\n");
  };
  folder.Append(first, emit);
  folder.Append(rest, emit);
  folder.Flush(emit);
  return all;
}

std::string Clean(absl::string_view first, absl::string_view rest, bool colors) {
  Sanitizer sanitizer(colors);
  std::string out = sanitizer.Append(first);
  out += sanitizer.Append(rest);
  return out + sanitizer.Finish();
}

// Text, tabs, newlines, and colour sequences if they are allowed.
void RequireSafe(const std::string& text, bool colors) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0x1B) {
      Require(colors && i + 1 < text.size() && text[i + 1] == '[');
      i = text.find_first_not_of("0123456789;:", i + 2);
      Require(i != std::string::npos && text[i] == 'm');
      continue;
    }
    Require(byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != 0x7F));
    if (byte == 0xC2) Require(i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) >= 0xA0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 4096) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = bytes.empty() ? 0 : data[0] % (bytes.size() + 1);
  Require(Fold(bytes.substr(0, cut), bytes.substr(cut)) == Fold(bytes, ""));
  for (const bool colors : {false, true}) {
    const std::string clean = Clean(bytes, "", colors);
    Require(Clean(bytes.substr(0, cut), bytes.substr(cut), colors) == clean);
    RequireSafe(clean, colors);
    Require(Clean(clean, "", colors) == clean);
  }
  return 0;
}
