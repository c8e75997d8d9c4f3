#include "services/builder/reads/system_tools.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "services/builder/reads/shell_words.h"

namespace riseml::builder {
namespace {

constexpr absl::string_view kSystemTools[] = {"apt-get", "apt", "aptitude", "dpkg",   "yum",
                                              "dnf",     "apk", "zypper",   "pacman", "snap"};
constexpr absl::string_view kCondaTools[] = {"conda", "mamba", "micromamba"};
// Words that may stand in front of a tool.
constexpr absl::string_view kToolPrefixes[] = {"sudo", "env",  "exec", "command", "time", "nice",
                                               "if",   "then", "else", "do",      "!"};

// The program of `tools` that a command of the step starts with.
template <class Tools>
std::string FirstTool(absl::string_view install_step, const Tools& tools) {
  for (const ShellCommand& command : SplitCommands(install_step)) {
    for (const Word& word : command.words) {
      const absl::string_view name = BaseName(word.text);
      if (IsAssignment(word.text) || std::ranges::count(kToolPrefixes, name) > 0 || absl::StartsWith(name, "-"))
        continue;
      if (std::ranges::count(tools, name) > 0) return std::string(name);
      break;
    }
  }
  return "";
}

}  // namespace

std::string SystemPackageTool(absl::string_view install_step) { return FirstTool(install_step, kSystemTools); }

std::string CondaTool(absl::string_view install_step) { return FirstTool(install_step, kCondaTools); }

}  // namespace riseml::builder
