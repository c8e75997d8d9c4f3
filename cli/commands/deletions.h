// Deletes several things one after the other, for the commands that delete for good.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/session.h"

namespace riseml::cli {

struct Deletion {
  std::string shown;      // "14", as the user names it
  std::string described;  // "experiment 14 of project census, FINISHED"
  std::function<absl::Status()> run;
};

struct DeletionOptions {
  std::string question;  // e.g. "Delete with results? This cannot be undone."
  bool yes = false;      // do not ask
  bool quiet = false;    // print nothing about what was deleted
};

// Asks once for all of them, then deletes each. A failure does not stop the other deletions. Returns the exit code, or
// the error if there is only one deletion; CANCELLED when the answer is no.
absl::StatusOr<int> DeleteAll(Session& session, const std::vector<Deletion>& deletions, const DeletionOptions& options);

}  // namespace riseml::cli
