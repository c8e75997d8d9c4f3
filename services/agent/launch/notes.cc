#include "services/agent/launch/notes.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNotes = 20;

// True if a word of a command is the path or begins with it.
bool NamesPath(absl::string_view command, absl::string_view path) {
  for (std::size_t at = command.find(path); at != absl::string_view::npos; at = command.find(path, at + 1)) {
    const std::size_t end = at + path.size();
    const bool begins = at == 0 || absl::StrContains(" \t\n='\":>", command[at - 1]);
    if (begins && (end == command.size() || !absl::ascii_isalnum(static_cast<unsigned char>(command[end]))))
      return true;
  }
  return false;
}

std::string QuoteForShell(const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("/._-=+:@,", static_cast<char>(c));
  });
  return plain ? text : absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

bool IsEditableInstall(absl::string_view command) {
  return absl::StrContains(command, "install -e") || absl::StrContains(command, "--editable") ||
         absl::StrContains(command, "setup.py develop");
}

}  // namespace

std::map<std::string, std::string> PresentDataPaths(const config::v1::NodeConfig& config) {
  std::map<std::string, std::string> present;
  std::error_code error;
  for (const auto& [name, path] : config.data_paths())
    if (fs::is_directory(path, error) && fs::is_directory(absl::StrCat(config.volume_data_dir(), "/", name), error))
      present.emplace(name, path);
  return present;
}

std::vector<std::string> NotesOnData(const config::v1::NodeConfig& config, const SystemView& system) {
  std::vector<std::string> notes;
  const std::string& data = config.volume_data_dir();
  if (data.empty()) return notes;
  const std::map<std::string, std::string> present = PresentDataPaths(config);
  for (const auto& [name, path] : config.data_paths())
    if (!present.contains(name))
      notes.push_back(absl::StrCat("/data/", name, " is missing: ", path, " or ", data, "/", name,
                                   " is no longer a directory; restore it, or drop it with `riseml up --data ", name,
                                   "=`"));
  std::error_code error;
  const std::string inside = fs::canonical(data, error).string();
  std::vector<std::string> names, options;
  for (const fs::directory_entry& entry : fs::directory_iterator(data, error)) {
    std::error_code broken;
    if (!entry.is_symlink(broken) || names.size() + notes.size() >= kMaxNotes) continue;
    const std::string target =
        fs::weakly_canonical(fs::path(data) / fs::read_symlink(entry.path(), broken), broken).string();
    const auto shows = [&target](const std::string& path) { return IsPathBelow(target, path); };
    if (broken || shows(inside) || std::ranges::any_of(system.directories, shows)) continue;
    const std::string name = entry.path().filename().string();
    if (fs::is_regular_file(target, broken)) {
      notes.push_back(absl::StrCat("/data/", name, " is a link to the file ", target,
                                   ", which jobs cannot see: copy the file into ", data));
      continue;
    }
    names.push_back(absl::StrCat("/data/", name, " is a link to ", target));
    options.push_back(absl::StrCat(" --data ", QuoteForShell(absl::StrCat(name, "=", target))));
  }
  std::ranges::sort(names);
  std::ranges::sort(options);
  if (!names.empty())
    notes.push_back(absl::StrCat(absl::StrJoin(names, ", "),
                                 ", which jobs cannot see: after `riseml down`, run `riseml up",
                                 absl::StrJoin(options, ""), "` (with --dir, if you use it)"));
  std::ranges::sort(notes);
  return notes;
}

std::vector<std::string> NotesOnPlainPaths(const internal::v1::StartAttemptRequest& start) {
  std::vector<std::string> notes;
  const auto& commands = start.template_().commands();
  for (const auto& [path, instead] :
       {std::pair{"/output", "$OUTPUT_DIR"}, std::pair{"/data", "$RISEML_DATA_DIR"},
        std::pair{"/shared", "$RISEML_SHARED_DIR"}, std::pair{"/inputs", "$RISEML_INPUT_NAME"},
        std::pair{"/code", "a path relative to the project"}})
    if (std::ranges::any_of(commands, [path = path](const std::string& command) { return NamesPath(command, path); }))
      notes.push_back(absl::StrCat(path, " does not exist here, since this node runs jobs without a sandbox: write ",
                                   instead, ", or install bubblewrap on the node"));
  if (std::ranges::any_of(start.build_steps(), [](const auto& step) { return IsEditableInstall(step.command()); }))
    notes.emplace_back(
        "An editable install points to the build's copy of the project, which jobs cannot use because this node runs "
        "jobs without a sandbox: write `pip install .`, or ask an administrator to install bubblewrap on the node");
  return notes;
}

}  // namespace riseml::agent
