#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "cli/client/project.h"
#include "cli/commands/commands.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/spec.h"
#include "services/common/spec/template.h"

namespace riseml::cli {
namespace {

struct InitOptions {
  std::string file = "riseml.yml";
  std::string name;
};

absl::StatusOr<int> Init(Session& session, const InitOptions& options) {
  std::string name = options.name;
  if (name.empty()) {
    std::error_code error;
    const std::filesystem::path file = std::filesystem::absolute(options.file, error);
    if (error) return ErrnoError(error.value(), "find the current directory");
    if (!std::filesystem::is_directory(file.parent_path(), error))
      return Error(Reason::kNotFound, absl::StrCat("cannot create ", options.file, ": there is no directory ",
                                                   file.parent_path().string(), "; make it first"));
    const std::string directory = file.parent_path().filename().string();
    name = spec::ProjectNameFrom(directory);
    if (name != directory)
      session.Tell(absl::StrCat("NOTE: the project is called ", name, ", as '", OneLine(directory),
                                "' is no project name; another one: riseml init -n NAME\n"));
  } else if (!spec::IsProjectName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name,
                     "' is no project name: letters, digits, '-' and '_' are allowed, 2 or more characters, "
                     "and the first and the last must be a letter or digit"));
  }
  if (FileExists(options.file)) return Error(Reason::kAlreadyExists, absl::StrCat(options.file, " already exists"));
  if (const std::string above = options.file == kConfigName ? FindConfig() : ""; !above.empty())
    session.Tell(absl::StrCat("WARNING: this directory belongs to the project of ", above,
                              " and becomes a project of its own; remove ", options.file, " if that is not wanted\n"));
  RISEML_RETURN_IF_ERROR(
      While(absl::StrCat("create ", options.file), WriteFileAtomically(options.file, spec::InitTemplate(name))));
  session.Print(absl::StrCat(options.file, " successfully created\n"));
  return kExitOk;
}

}  // namespace

void AddInit(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(app, "init", "Create a riseml.yml",
                                        "  riseml init              a project called like this directory\n"
                                        "  riseml init -n census");
  auto options = std::make_shared<InitOptions>();
  command.AddOption("-f,--config-file", options->file, "File to create").Type("FILE").ShowDefault();
  command.AddOption("-n,--name", options->name, "Project name; default: the directory's name").Type("NAME");
  Runs(command, plan, options, Init);
}

}  // namespace riseml::cli
