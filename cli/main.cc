#include <unistd.h>

#include <cstdio>

#include "cli/app.h"

int main(int argc, char** argv) {
  const int exit_code = riseml::cli::Main(argc, argv);
  std::fflush(nullptr);
  // Threads of gRPC still run; what they use must not be taken down around them.
  _exit(exit_code);
}
