#include "cli/app.h"

int main(int argc, char** argv) { return riseml::cli::Main(argc, argv); }
