#include "cli/render/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/logtext/invisible.h"

namespace riseml::cli {
namespace {

absl::string_view Variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? absl::string_view() : absl::string_view(value);
}

bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const absl::string_view value = Variable(name);
    if (value.empty()) continue;
    const std::string lower = absl::AsciiStrToLower(value);
    return absl::StrContains(lower, "utf-8") || absl::StrContains(lower, "utf8");
  }
  return false;
}

absl::string_view Code(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kRed:
      return "31";
    case Style::kGreen:
      return "32";
    case Style::kYellow:
      return "33";
  }
  return "";
}

}  // namespace

Terminal TerminalOf(int fd) {
  Terminal terminal;
  terminal.tty = isatty(fd) == 1 && Variable("TERM") != "dumb";
  terminal.color = terminal.tty && Variable("NO_COLOR").empty();
  terminal.utf8 = LocaleIsUtf8();
  winsize size = {};
  if (terminal.tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  return terminal;
}

std::string Styled(const Terminal& terminal, Style style, absl::string_view text) {
  if (!terminal.color || style == Style::kPlain) return std::string(text);
  return absl::StrCat("\x1b[", Code(style), "m", text, "\x1b[0m");
}

std::string OneLine(absl::string_view text) {
  std::string out = logtext::ShowInvisible(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned char c = out[i];
    // C2 80 to C2 9F are the control characters beyond ASCII, which some terminals obey.
    const bool c1 = c == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) out[i] = ' ';
    if (c1) out[++i] = ' ';
  }
  return out;
}

absl::string_view FirstColumns(absl::string_view text, int columns) {
  std::size_t end = 0;
  for (int used = 0; end < text.size(); ++end) {
    if ((text[end] & 0xc0) != 0x80 && ++used > std::max(1, columns)) break;
  }
  return text.substr(0, end);
}

int Columns(absl::string_view text) {
  int columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
      i += 2;
      while (i < text.size() && !absl::ascii_isalpha(text[i])) ++i;
    } else if ((text[i] & 0xc0) != 0x80) {
      ++columns;
    }
  }
  return columns;
}

}  // namespace riseml::cli
