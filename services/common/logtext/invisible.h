// Invisible characters: with them one text can look like another.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::logtext {

// True for characters that turn the direction of writing, end a line or take no room.
bool IsInvisible(char32_t code);

// U+200C and U+200D, which say how their neighbours are written.
bool IsJoiner(char32_t code);

// True if a joiner between two characters is ordinary text: after a letter of an Arabic, Indian or related script, or
// (U+200D only) between the parts of an emoji. `after` is 0 if there is no next character or it is not known. Elsewhere
// a joiner has no effect and is invisible.
bool JoinsText(char32_t before, char32_t joiner, char32_t after);

// The code point of one UTF-8 character of two to four bytes.
char32_t CodePointOf(absl::string_view character);

// "\u202e"
std::string Escaped(char32_t code);

// Shows invisible characters by their number, but for joiners that join. Bytes that are not UTF-8 stay.
std::string ShowInvisible(absl::string_view text);

}  // namespace riseml::logtext
