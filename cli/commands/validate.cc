#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/client/project.h"
#include "cli/commands/commands.h"
#include "cli/commands/spec_file.h"
#include "cli/render/json.h"
#include "cli/render/spec_view.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/features.h"

namespace riseml::cli {
namespace {

absl::StatusOr<int> Validate(Session& session, const std::string& path, bool json) {
  RISEML_ASSIGN_OR_RETURN(const SpecFile file, ReadSpecFile(ConfigPath(path)));
  for (const std::string& warning : file.spec.warnings) session.Tell(absl::StrCat("WARNING: ", warning, "\n"));
  if (file.spec.train) {
    if (const absl::Status status = spec::CheckRunnable(*file.spec.train); !status.ok()) {
      session.Tell(absl::StrCat("WARNING: ", status.message(), "\n"));
    }
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
