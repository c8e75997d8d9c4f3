#include <errno.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

constexpr char kSupervisor[] = "riseml-supervisor";

struct StackOptions {
  std::string dir;
  std::vector<std::string> data;  // NAME=PATH; of `up`
  std::string kafka;              // of `up`
  std::string runtime;            // of `up`
};

// Becomes the supervisor; returns only on failure.
absl::StatusOr<int> Become(const std::string& verb, const StackOptions& options) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoError(error.value(), "find the directory of this program");
  const std::string program = (self.parent_path() / kSupervisor).string();
  if (!FileExists(program)) {
    return absl::NotFoundError(absl::StrCat(kSupervisor, " is not beside this program in ", self.parent_path().string(),
                                            "; install the whole of RiseML to run it on this machine"));
  }
  std::vector<std::string> words = {program, verb};
  if (!options.dir.empty()) words.insert(words.end(), {"--dir", options.dir});
  for (const std::string& data : options.data) words.insert(words.end(), {"--data", data});
  if (!options.kafka.empty()) words.insert(words.end(), {"--kafka", options.kafka});
  if (!options.runtime.empty()) words.insert(words.end(), {"--runtime", options.runtime});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return ErrnoError(errno, absl::StrCat("start ", program));
}

void AddVerb(cmdline::Command app, Plan& plan, const char* verb, const char* description, const char* examples) {
  cmdline::Command command = AddCommand(app, verb, description, examples);
  auto options = std::make_shared<StackOptions>();
  command
      .AddOption(
          "--dir", options->dir,
          "Directory of the installation; default: $RISEML_DIR, else ~/.riseml/local (for root: /var/lib/riseml)")
      .Type("DIR");
  if (absl::string_view(verb) == "up") {
    command
        .AddOption(
            "--data", options->data,
            "Directory that jobs see read-only as /data/NAME; may be given several times, is kept; NAME= takes it away")
        .Type("NAME=PATH");
    command
        .AddOption(
            "--kafka", options->kafka,
            "Kafka brokers that logs go over; kept; \"none\": logs go to the log handler directly, as by default")
        .Type("HOST:PORT,…");
    command
        .AddOption("--runtime", options->runtime,
                   "How jobs run: \"podman\", in containers, or \"process\", as by default; kept")
        .OneOf({"podman", "process"})
        .Type("RUNTIME");
  }
  command.OnTyped(
      [&plan, options, verb] { plan.action = [options, verb](Session&) { return Become(verb, *options); }; });
}

}  // namespace

void AddStack(cmdline::Command app, Plan& plan) {
  AddVerb(app, plan, "up", "Start RiseML on this machine and log in to it",
          "  riseml up\n  riseml up --dir /srv/riseml\n  riseml up --data imagenet=/srv/imagenet\n  riseml up "
          "--runtime podman");
  AddVerb(app, plan, "down", "Stop RiseML on this machine; running jobs go on", "  riseml down");
}

}  // namespace riseml::cli
