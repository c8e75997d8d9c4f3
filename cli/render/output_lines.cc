#include "cli/render/output_lines.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/byte_size.h"

namespace riseml::cli {

std::string OutputLines(const Viewer& viewer, const v1::Experiment& experiment) {
  std::string out;
  // Leaves out a path that the reader cannot use.
  if (!experiment.output_path().empty() && !viewer.MayRead(experiment.output_path()))
    out = "Output: kept by the installation in a directory that your user cannot read\n";
  else if (!experiment.output_path().empty())
    out = absl::StrCat("Output: ", OneLine(experiment.output_path()), "\n");
  if (experiment.output_bytes() > 0)
    absl::StrAppend(&out, "Output Size: ", experiment.output_at_least() ? "at least " : "",
                    PrintSize(experiment.output_bytes()), "\n");
  return out;
}

}  // namespace riseml::cli
