#include "cli/sync/named_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/sync/exclude.h"
#include "cli/sync/ignore.h"
#include "cli/sync/named_files.h"
#include "services/common/base/nearest_name.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr int kDirectoriesAbove = 3;

// True when the path, a link above it, or something below it is uploaded.
bool IsUploaded(const Snapshot& snapshot, const std::string& path) {
  const auto at = [&](const std::string& key) {
    return std::lower_bound(snapshot.files.begin(), snapshot.files.end(), key,
                            [](const SnapshotFile& file, const std::string& text) { return file.file.path < text; });
  };
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string above = path.substr(0, end);
    if (const auto it = at(above); it != snapshot.files.end() && it->file.path == above) return true;
  }
  if (const auto it = at(path); it != snapshot.files.end() && it->file.path == path) return true;
  const auto below = at(absl::StrCat(path, "/"));
  return below != snapshot.files.end() && absl::StartsWith(below->file.path, absl::StrCat(path, "/"));
}

int CountOf(const std::vector<std::string>& texts, const std::string& word) {
  int count = 0;
  for (const std::string& text : texts)
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

absl::Status LeftOutError(const std::string& path, const Decision& decision) {
  const std::string line = absl::StrCat("add the line !", PatternFor(path), " to .risemlignore");
  const bool environment = decision.rule == Decision::Rule::kDefault && absl::EndsWith(decision.reason, "environment");
  const std::string advice =
      environment ? "Jobs run in an environment of their own: list what it needs under `install:`, and remove this word"
      : decision.secret
          ? absl::StrCat("Hand its values to the job as `secrets:` of riseml.yml, or, to upload it, ", line)
          : absl::StrCat("To upload it, ", line);
  return Error(Reason::kInvalidArgument, absl::StrCat("a command in the configuration names ", git::Printable(path),
                                                      ", which is left out (", decision.reason, "). ", advice));
}

// The nearest directory above the project that has the file; empty when none has.
std::string FoundAbove(const std::string& root, const std::string& path) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(root, error);
  for (int i = 0; !error && i < kDirectoriesAbove && at != at.parent_path(); ++i) {
    at = at.parent_path();
    if (std::filesystem::is_regular_file(at / path, error)) return at.string();
    error.clear();
  }
  return "";
}

bool IsScript(absl::string_view path) {
  return absl::EndsWith(path, ".py") || absl::EndsWith(path, ".sh") || absl::EndsWith(path, ".txt");
}

// Handles a script that exists only above the project: an error unless riseml.yml or .git marks the project's root.
absl::Status CheckAbove(const std::string& root, const std::string& path, std::vector<std::string>& notes) {
  const std::string above = IsScript(path) ? FoundAbove(root, path) : "";
  if (above.empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path directory(root);
  const bool marked = std::filesystem::exists(directory / "riseml.yml", error);
  const std::string text = absl::StrCat(
      git::Printable(path), " lies in ", above, ", not in the project ", root, "; the project is ",
      marked ? absl::StrCat("the directory that holds riseml.yml: move that file to ", above,
                            ", or give it another name and train with -f")
             : absl::StrCat("the nearest directory above the configuration that holds .git or riseml.yml: put a "
                            "riseml.yml into ",
                            above));
  if (!marked && !std::filesystem::exists(directory / ".git", error)) return Error(Reason::kInvalidArgument, text);
  notes.push_back(text);
  return absl::OkStatus();
}

// A script that exists nowhere is most likely mistyped. One that is named twice, or lies in a directory the project
// does not have, may be made by another command.
void NoteMissing(const Snapshot& snapshot, const std::vector<std::string>& commands, const std::string& path,
                 std::vector<std::string>& notes) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const bool has_directory = directory.empty() || IsUploaded(snapshot, directory.substr(0, directory.size() - 1));
  if (!IsScript(path) || !has_directory || CountOf(commands, path) != 1) return;
  std::vector<std::string> neighbours;
  for (const SnapshotFile& file : snapshot.files)
    if (absl::StartsWith(file.file.path, directory) && file.file.path.find('/', directory.size()) == std::string::npos)
      neighbours.push_back(file.file.path);
  const std::string meant = NearestName(path, neighbours);
  notes.push_back(absl::StrCat("a command names ", git::Printable(path), ", which the project does not have",
                               meant.empty() ? "" : absl::StrCat("; did you mean ", git::Printable(meant), "?")));
}

}  // namespace

absl::Status CheckNamedFiles(const Snapshot& snapshot, const std::vector<std::string>& commands,
                             std::vector<std::string>& notes) {
  std::vector<std::string> directories;
  for (const std::string& command : commands) {
    for (const std::string& path : NamedFiles(command)) {
      if (IsUploaded(snapshot, path)) continue;
      struct stat info {};
      if (lstat(absl::StrCat(snapshot.root, "/", path).c_str(), &info) != 0) {
        const std::size_t before = notes.size();
        RISEML_RETURN_IF_ERROR(CheckAbove(snapshot.root, path, notes));
        if (notes.size() == before) NoteMissing(snapshot, commands, path, notes);
        continue;
      }
      RISEML_ASSIGN_OR_RETURN(const std::optional<Decision> why, WhyLeftOut(snapshot.root, path));
      if (!why) continue;
      if (!S_ISDIR(info.st_mode)) {
        const absl::Status left_out = LeftOutError(path, *why);
        // Not an error if another command names it, which may make or test it, or if the user's own rule leaves it out.
        if (CountOf(commands, path) <= 1 && why->rule != Decision::Rule::kRisemlIgnore) return left_out;
        notes.push_back(absl::StrCat(left_out.message(), "; if a command makes it, all is well"));
        continue;
      }
      if (std::find(directories.begin(), directories.end(), path) == directories.end()) directories.push_back(path);
    }
  }
  if (!directories.empty())
    notes.push_back(
        absl::StrCat("a command names ", absl::StrJoin(directories, ", "),
                     ", which is left out: the job does not have what it holds. Data belongs below /data; a "
                     "line !",
                     PatternFor(directories.front()), "/ in .risemlignore uploads it"));
  return absl::OkStatus();
}

}  // namespace riseml::sync
