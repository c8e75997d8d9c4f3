#include "cli/commands/deletions.h"

#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/client/prompt.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {

absl::StatusOr<int> DeleteAll(Session& session, const std::vector<Deletion>& deletions,
                              const DeletionOptions& options) {
  if (!options.yes) {
    for (const Deletion& deletion : deletions) session.Tell(absl::StrCat("  ", deletion.described, "\n"));
    RISEML_RETURN_IF_ERROR(Confirm(options.question));
  }
  int exit_code = kExitOk;
  for (const Deletion& deletion : deletions) {
    const absl::Status deleted = deletion.run();
    if (deleted.ok()) {
      if (!options.quiet) session.Print(absl::StrCat("deleted ", deletion.described, "\n"));
      continue;
    }
    if (deletions.size() == 1 || IsUnreachable(deleted)) return deleted;
    session.Tell(ErrorText(While(deletion.shown, deleted)));
    exit_code = kExitError;
  }
  return exit_code;
}

}  // namespace riseml::cli
