#include <errno.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

constexpr char kSupervisor[] = "riseml-supervisor";

// Becomes the supervisor; returns only on failure.
absl::StatusOr<int> Become(const std::string& verb, const std::string& dir) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoError(error.value(), "find the directory of this program");
  const std::string program = (self.parent_path() / kSupervisor).string();
  if (!FileExists(program)) {
    return absl::NotFoundError(absl::StrCat(kSupervisor, " is not beside this program in ", self.parent_path().string(),
                                            "; install the whole of RiseML to run it on this machine"));
  }
  const char* const argv[] = {program.c_str(), verb.c_str(), dir.empty() ? nullptr : "--dir", dir.c_str(), nullptr};
  execv(program.c_str(), const_cast<char* const*>(argv));
  return ErrnoError(errno, absl::StrCat("start ", program));
}

void AddVerb(cmdline::Command app, Plan& plan, const char* verb, const char* description, const char* examples) {
  cmdline::Command command = AddCommand(app, verb, description, examples);
  auto dir = std::make_shared<std::string>();
  command
      .AddOption(
          "--dir", *dir,
          "Directory of the installation; default: $RISEML_DIR, else ~/.riseml/local (for root: /var/lib/riseml)")
      .Type("DIR");
  command.OnTyped([&plan, dir, verb] { plan.action = [dir, verb](Session&) { return Become(verb, *dir); }; });
}

}  // namespace

void AddStack(cmdline::Command app, Plan& plan) {
  AddVerb(app, plan, "up", "Start RiseML on this machine and log in to it",
          "  riseml up\n  riseml up --dir /srv/riseml");
  AddVerb(app, plan, "down", "Stop RiseML on this machine; running jobs go on", "  riseml down");
}

}  // namespace riseml::cli
