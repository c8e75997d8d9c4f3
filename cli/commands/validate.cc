#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/client/project.h"
#include "cli/commands/commands.h"
#include "cli/commands/dry_run.h"
#include "cli/commands/spec_file.h"
#include "cli/render/json.h"
#include "cli/render/spec_view.h"
#include "cli/render/terminal.h"
#include "cli/sync/snapshot.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/features.h"

namespace riseml::cli {
namespace {

// Warns only: a refusal by `train` is not an error of the file itself.
void TellIfRefused(const Session& session, const absl::Status& status) {
  if (!status.ok()) session.Tell(absl::StrCat("WARNING: ", OneLine(status.message()), "\n"));
}

// Compares the files that the commands name with those that `train` would upload.
absl::Status CheckFiles(Session& session, const SpecFile& file) {
  RISEML_ASSIGN_OR_RETURN(const std::string root, ProjectRoot(file.path));
  RISEML_ASSIGN_OR_RETURN(const sync::Snapshot snapshot, sync::ListProject(root));
  return CheckNames(session, file, snapshot);
}

absl::StatusOr<int> Validate(Session& session, const std::string& path, bool json) {
  RISEML_ASSIGN_OR_RETURN(const SpecFile file, ReadSpecFile(ConfigPath(path)));
  const std::map<std::string, std::string> no_inputs;
  TellDoubts(session, file.spec, {.inputs = no_inputs});
  if (file.spec.train) {
    TellIfRefused(session, spec::CheckRunnable(*file.spec.train));
    TellIfRefused(session, CheckFiles(session, file));
  }
  if (json) {
    session.Print(JsonObject().Raw("config", NormalJson(file.spec, -1)).Text());
  } else {
    session.Print(absl::StrCat(NormalJson(file.spec, 2), "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddValidate(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(app, "validate", "Check a riseml.yml and print what it means, as JSON",
                                        "  riseml validate\n  riseml validate other.yml --json | jq .config.train.run");
  auto path = std::make_shared<std::string>("riseml.yml");
  auto json = std::make_shared<bool>(false);
  const cmdline::Option file = command.AddOption("file", *path, "File to check").Type("FILE").ShowDefault();
  command.AddOption("-f,--config-file", *path, "The same, as riseml train takes it").Type("FILE").Excludes(file);
  command.AddFlag("--json", *json, "On one line, in the envelope of the other commands");
  command.OnTyped([&plan, path, json] {
    plan.action = [path, json](Session& session) { return Validate(session, *path, *json); };
  });
}

}  // namespace riseml::cli
