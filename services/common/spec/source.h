// The text of a spec before it is parsed, and the line and column of each byte of it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::spec {

struct Position {
  int line = 1;
  int column = 1;  // in characters
};

// At most 64 KB of printable UTF-8 with '\n' as the only line break and without a byte order mark.
class Source {
 public:
  static absl::StatusOr<Source> Create(absl::string_view text, absl::string_view name);

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }

  // Place of a byte offset; an offset behind the end counts as the end.
  Position At(std::size_t offset) const;
  // Byte offset of a line and byte column, both from 0; places outside the text are moved into it.
  std::size_t Offset(int line, int column) const;
  // The line that holds the byte at `offset`, without its break.
  absl::string_view LineAt(std::size_t offset) const;

 private:
  std::size_t LineStart(std::size_t offset) const;

  std::string name_;
  std::string text_;
  std::vector<std::size_t> lines_;  // offset of the first byte of each line
  std::vector<int> columns_;        // of each byte and of the end
};

}  // namespace riseml::spec
