// The whole command line.
#pragma once

namespace riseml::cli {

// Parses, runs, and returns the exit code. Prints errors to standard error.
int Main(int argc, char** argv);

}  // namespace riseml::cli
