// The dry run of `train`, and the checks and texts that it shares with `train`.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands/commands.h"
#include "cli/commands/spec_file.h"
#include "cli/sync/snapshot.h"

namespace riseml::cli {

// Lists what would be uploaded or left out, and fails for what `train` refuses: files over the limits of the
// installation, inputs (experiment ids by name) that do not exist. Without a connection it says that it cannot check
// this.
absl::StatusOr<int> DryRun(Session& session, const SpecFile& file, const std::string& root,
                           const std::map<std::string, std::string>& inputs);

// Refuses a configuration that names files that are left out; prints notes.
absl::Status CheckNames(Session& session, const SpecFile& file, const sync::Snapshot& snapshot);

// Prints the doubts that the file itself raises: warnings of the parser, directories that will not exist, parts without
// effect. `inputs` (by name) are given besides those of the file.
void TellDoubts(const Session& session, const spec::Spec& spec, const std::map<std::string, std::string>& inputs,
                bool quiet);

// "Project directory: /home/paul/census (configuration configs/sweep.yml)".
std::string DirectoryText(const SpecFile& file, const std::string& root);

}  // namespace riseml::cli
