// Hides secret values in text. Hidden values keep their length, so that offsets stay valid. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::logtext {

// Values shorter than this many bytes are not hidden: they would hide half of every text.
inline constexpr std::size_t kShortestMasked = 4;

// Replaces every byte of every occurrence of some values by '*'. Of a value with several lines, each line of 4 bytes or
// more is hidden too. Thread-safe.
class Masker {
 public:
  explicit Masker(const std::vector<std::string>& values);

  bool empty() const { return values_.empty(); }
  // Bytes of the longest value; an occurrence that reaches into a piece of text begins at most this many bytes before
  // it.
  std::size_t longest() const { return longest_; }

  std::string Mask(absl::string_view text) const;
  // Length of the longest end of `text` that may be the beginning of a value.
  std::size_t OpenEnd(absl::string_view text) const;

 private:
  std::vector<std::string> values_;  // longest first
  std::size_t longest_ = 0;
};

// Passwords in URLs of a text: "pw" of https://me:pw@host, "token" of https://token@host. User names of ssh URLs and
// "git" are not passwords.
std::vector<std::string> UrlPasswords(absl::string_view text);

// The text with these passwords hidden.
std::string MaskUrlPasswords(absl::string_view text);

}  // namespace riseml::logtext
