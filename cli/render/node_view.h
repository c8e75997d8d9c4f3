// Renders the nodes for `riseml system info`. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/render/terminal.h"
#include "riseml/v1/node.pb.h"

namespace riseml::cli {

// Nodes that take jobs, and their sum; `long_form` adds versions.
std::string NodeTable(const Terminal& terminal, const std::vector<v1::Node>& nodes, bool long_form);

// One row per GPU.
std::string GpuTable(const Terminal& terminal, const std::vector<v1::Node>& nodes);

// Returns warnings about nodes, one per line: nodes that take no jobs, nodes that do not enforce limits.
std::string NodeNotes(const std::vector<v1::Node>& nodes);

}  // namespace riseml::cli
