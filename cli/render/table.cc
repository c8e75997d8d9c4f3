#include "cli/render/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace riseml::cli {
namespace {

std::string Row(const std::vector<std::string>& cells, const std::vector<int>& widths, int gap) {
  std::string line;
  for (std::size_t i = 0; i < cells.size() && i < widths.size(); ++i) {
    absl::StrAppend(&line, cells[i]);
    if (i + 1 < cells.size()) line.append(std::max(0, widths[i] - Columns(cells[i])) + gap, ' ');
  }
  return std::string(absl::StripTrailingAsciiWhitespace(line));
}

}  // namespace

std::string Table(const Terminal& terminal, const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows, int gap) {
  std::vector<int> widths;
  std::vector<std::string> header;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    int width = std::max(columns[i].min_width, Columns(columns[i].name));
    for (const auto& row : rows) {
      if (i < row.size()) width = std::max(width, Columns(row[i]));
    }
    widths.push_back(width);
    header.push_back(columns[i].name);
  }
  std::string out = absl::StrCat(Styled(terminal, Style::kBold, Row(header, widths, gap)), "\n");
  for (const auto& row : rows) absl::StrAppend(&out, Row(row, widths, gap), "\n");
  return out;
}

}  // namespace riseml::cli
