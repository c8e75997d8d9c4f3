#include "services/common/archive/testing.h"

#include "absl/strings/str_format.h"

namespace riseml {

std::string MakeTar(const std::vector<TarEntry>& entries) {
  std::string tar;
  for (const TarEntry& entry : entries) {
    std::string header(512, '\0');
    const auto put = [&header](std::size_t at, const std::string& text) { header.replace(at, text.size(), text); };
    put(0, entry.name);
    put(100, absl::StrFormat("%07o", entry.mode));
    put(108, "0000000");
    put(116, "0000000");
    put(124, absl::StrFormat("%011o", entry.content.size()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, std::string(1, entry.type));
    put(157, entry.target);
    put(257, std::string("ustar\0", 6) + "00");
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
    tar += header + entry.content + std::string((512 - entry.content.size() % 512) % 512, '\0');
  }
  return tar + std::string(1024, '\0');
}

}  // namespace riseml
