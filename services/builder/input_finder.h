// Finds the files of a revision that decide an environment: those that install steps read, and what these name in turn.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/builder/code_files.h"
#include "services/builder/environment/key.h"
#include "services/builder/reads/step_reads.h"

namespace riseml::builder {

// Reads entries of the revision, at most 500 paths a call.
using ReadCode = std::function<absl::StatusOr<CodeEntries>(const std::vector<std::string>& paths)>;

// Follows includes, links and local dependencies; at most 500 files, otherwise the whole tree. Errors are those of
// `read`.
absl::StatusOr<CodeInputs> FindInputs(const StepReads& reads, const ReadCode& read);

}  // namespace riseml::builder
