// `riseml user login`.
#pragma once

#include "cli/commands/commands.h"

namespace riseml::cli {

void AddLogin(cmdline::Command group, Plan& plan);

}  // namespace riseml::cli
