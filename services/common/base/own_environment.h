// The environment variables of this process.
#pragma once

namespace riseml {

// Moves the variables to memory that /proc/PID/environ does not show: they may hold passwords. Texts that getenv()
// returned before are empty afterwards. Called once, at the start, before there are threads.
void HideEnvironment();

}  // namespace riseml
