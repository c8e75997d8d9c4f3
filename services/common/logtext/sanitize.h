// Turns the output of a job into text that is safe to write to a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::logtext {

// Keeps text, tabs, newlines and (when `colors`) colour sequences; drops every other escape sequence; shows other
// control characters as \x07 and invisible ones (invisible.h) as \u202e; puts U+FFFD in place of bytes that are not
// UTF-8. The result is the same however the bytes are cut into chunks. Not thread-safe.
class Sanitizer {
 public:
  explicit Sanitizer(bool colors) : colors_(colors) {}

  // Returns the printable part of these bytes. Holds an unfinished character or sequence (at most 68 bytes), and a
  // joiner whose neighbour is not known yet, back for the next call.
  std::string Append(absl::string_view bytes);
  // Returns the rest, and the sequence that switches colours off if they are on.
  std::string Finish();

 private:
  enum class State { kText, kEscape, kCsi, kString, kStringEscape };

  void Take(unsigned char byte, std::string& out);
  void TakeText(unsigned char byte, std::string& out);
  void TakeControl(unsigned char byte, std::string& out);
  void TakeEscape(unsigned char byte, std::string& out);
  void TakeCsi(unsigned char byte, std::string& out);
  void TakeString(unsigned char byte, std::string& out);
  bool Continues(unsigned char byte) const;
  void EndCharacter(std::string& out);
  void EndJoiner(char32_t next, std::string& out);
  void Replace(std::string& out);

  const bool colors_;
  State state_ = State::kText;
  std::string pending_;       // of a UTF-8 character or of a CSI sequence
  std::size_t expected_ = 0;  // bytes of the UTF-8 character
  bool colored_ = false;
  char32_t before_ = 0;  // the character before; 0: something else
  char32_t joiner_ = 0;  // held back; 0: none is
};

// One piece of text by itself.
std::string Sanitize(absl::string_view text, bool colors);

}  // namespace riseml::logtext
