// States of experiments and jobs: their names, symbols, and which of them are final.
#pragma once

#include <string>

#include "cli/render/terminal.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"

namespace riseml::cli {

// "RUNNING"; "UNKNOWN" for a value of a newer server.
std::string StateName(v1::Experiment::State state);
std::string StateName(v1::Job::State state);

// "● RUNNING", with the symbol in its colour, or in ASCII.
std::string ShownState(const Terminal& terminal, v1::Experiment::State state);
std::string ShownState(const Terminal& terminal, v1::Job::State state);

// Only the symbol.
std::string StateSymbol(const Terminal& terminal, v1::Experiment::State state);
std::string StateSymbol(const Terminal& terminal, v1::Job::State state);
std::string StateSymbol(const Terminal& terminal, v1::Attempt::State state);

// Unknown values are not terminal.
bool IsTerminal(v1::Experiment::State state);
bool IsTerminal(v1::Job::State state);

}  // namespace riseml::cli
