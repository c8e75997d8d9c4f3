// Abilities of the output device, and text made fit for it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::cli {

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow };

struct Terminal {
  bool tty = false;    // lines may be redrawn
  bool color = false;  // escape sequences for colours may be used
  bool utf8 = true;    // symbols outside ASCII may be used
  int width = 80;      // columns
};

// Looks at a descriptor and at NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG.
Terminal TerminalOf(int fd);

// The text in a style, or as it is when the terminal shows no colours.
std::string Styled(const Terminal& terminal, Style style, absl::string_view text);

// Text from elsewhere on one line: control characters become blanks, so that it can neither move the cursor nor add
// lines; invisible ones are shown by their number (services/common/logtext/invisible.h).
std::string OneLine(absl::string_view text);

// The first `columns` columns, at least one, of text without escape sequences: a line that is drawn over must not wrap.
absl::string_view FirstColumns(absl::string_view text, int columns);

// Columns that text takes: code points, without escape sequences for colours.
int Columns(absl::string_view text);

}  // namespace riseml::cli
