// `riseml user login`.
#pragma once

#include "cli/commands/commands.h"

namespace riseml::cli {

void AddLogin(CLI::App& group, Plan& plan);

}  // namespace riseml::cli
