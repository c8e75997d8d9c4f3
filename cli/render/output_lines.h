// Lines of `riseml status ID` about an experiment's output. Pure: messages in, text out.
#pragma once

#include <string>

#include "cli/render/status_view.h"
#include "riseml/v1/experiment.pb.h"

namespace riseml::cli {

// Says where the output lies and how large it is; empty when neither is known.
std::string OutputLines(const Viewer& viewer, const v1::Experiment& experiment);

}  // namespace riseml::cli
