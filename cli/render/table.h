// Left-justified tables.
#pragma once

#include <string>
#include <vector>

#include "cli/render/terminal.h"

namespace riseml::cli {

struct Column {
  std::string name;
  int min_width = 0;
};

// Each column is as wide as its minimum, its header or its widest cell; no line ends in blanks. Rows may be shorter
// than the header. Cells may carry colours; the header is bold where that can be shown.
std::string Table(const Terminal& terminal, const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows, int gap = 1);

}  // namespace riseml::cli
