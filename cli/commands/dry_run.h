// The dry run of `train`, and the checks and texts that it shares with `train`.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands/commands.h"
#include "cli/commands/spec_file.h"
#include "cli/sync/snapshot.h"

namespace riseml::cli {

// Lists what would be uploaded or left out, and fails for what `train` refuses: files over the installation's limits,
// and entries of `inputs` (name to experiment id) that do not exist. Without a connection it says that the limits were
// not checked.
absl::StatusOr<int> DryRun(Session& session, const SpecFile& file, const std::string& root,
                           const std::map<std::string, std::string>& inputs);

// Refuses a configuration that names files that will not be uploaded; prints the check's other findings.
absl::Status CheckNames(Session& session, const SpecFile& file, const sync::Snapshot& snapshot);

// Facts besides the file. Inputs (by name) are given besides those of the file.
struct DoubtContext {
  const std::map<std::string, std::string>& inputs;
  std::optional<bool> containers = std::nullopt;  // jobs of the installation run in containers; absent: not known
  bool quiet = false;                             // only warnings
};

// Prints warnings about the file itself: warnings of the parser, directories that will not exist, parts without effect.
void TellDoubts(const Session& session, const spec::Spec& spec, const DoubtContext& context);

// "Project directory: /home/paul/census (configuration configs/sweep.yml)".
std::string DirectoryText(const SpecFile& file, const std::string& root);

}  // namespace riseml::cli
