// Cuts the raw bytes of a log into readable lines, with progress bars folded. The stored bytes stay as they were
// printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::logtext {

struct Line {
  enum class Kind {
    kWhole,  // ended by a newline
    kPiece,  // part of a line longer than the limit; the rest follows
    kOpen,   // not ended: flushed at the end of the log, or before a gap
  };
  std::string text;  // without its newline; any bytes but \n, \r, \b
  Kind kind = Kind::kWhole;
  std::int64_t first_offset = 0;  // in the log, of the first byte that belongs to it
};

// Cuts bytes, given in chunks of any size, into lines. "\n" and "\r\n" end a line; what follows another "\r" replaces
// the open line; a backspace takes back one character. Holds at most `max_line` bytes. Not thread-safe.
class LineFolder {
 public:
  using Emit = std::function<void(Line)>;
  static constexpr std::size_t kMaxLine = 64 * 1024;

  // `max_line` is 8 or more; a longer line comes in pieces, cut between characters.
  explicit LineFolder(std::int64_t first_offset = 0, std::size_t max_line = kMaxLine);

  void Append(absl::string_view bytes, const Emit& emit);
  // Emits the unfinished line, if there is one.
  void Flush(const Emit& emit);
  // Flushes, then continues at another offset, after a gap.
  void Seek(std::int64_t offset, const Emit& emit);

  // The unfinished line as it looks now, for redrawing on a terminal.
  absl::string_view open_line() const { return text_; }

 private:
  void Take(char byte, const Emit& emit);
  void EmitPiece(const Emit& emit);
  void StartLine(std::int64_t offset);

  const std::size_t max_line_;
  std::int64_t offset_;  // of the next byte
  std::int64_t line_offset_;
  std::string text_;
  bool after_return_ = false;  // a \r whose meaning the next byte decides
};

}  // namespace riseml::logtext
