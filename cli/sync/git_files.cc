#include "cli/sync/git_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/sync/git_index.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::int64_t kMaxIndexBytes = 512 << 20;
constexpr std::int64_t kMaxGitTextBytes = 1 << 20;
constexpr std::size_t kSha1Bytes = 20;
constexpr std::size_t kSha256Bytes = 32;

// Resolves `path` against `base` if it is relative.
std::string From(const std::string& base, absl::string_view path) {
  return (std::filesystem::path(base) / std::string(path)).lexically_normal().string();
}

std::string FirstLine(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxGitTextBytes);
  if (!text.ok()) return "";
  return std::string(absl::StripTrailingAsciiWhitespace(text->substr(0, text->find('\n'))));
}

// "[extensions] objectFormat = sha256" in the repository's configuration.
std::size_t IdBytes(const GitDirectory& directory) {
  const absl::StatusOr<std::string> text = ReadFile(absl::StrCat(directory.common, "/config"), kMaxGitTextBytes);
  if (!text.ok()) return kSha1Bytes;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(line));
    if (absl::StartsWith(lower, "objectformat") && absl::EndsWith(lower, "sha256")) return kSha256Bytes;
  }
  return kSha1Bytes;
}

absl::StatusOr<GitIndex> ReadIndexFile(const std::string& path, std::size_t id_bytes) {
  RISEML_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxIndexBytes));
  return ParseGitIndex(bytes, id_bytes);
}

absl::StatusOr<GitIndex> ReadWholeIndex(const GitDirectory& directory) {
  const std::size_t id_bytes = IdBytes(directory);
  RISEML_ASSIGN_OR_RETURN(GitIndex index, ReadIndexFile(absl::StrCat(directory.git, "/index"), id_bytes));
  if (index.base.empty()) return index;
  const std::string name = absl::StrCat("/sharedindex.", index.base);
  absl::StatusOr<GitIndex> base = ReadIndexFile(absl::StrCat(directory.git, name), id_bytes);
  if (absl::IsNotFound(base.status())) base = ReadIndexFile(absl::StrCat(directory.common, name), id_bytes);
  RISEML_RETURN_IF_ERROR(base.status());
  MergeSharedIndex(*base, index);
  return index;
}

std::vector<std::string> Moved(const std::vector<std::string>& paths, absl::string_view prefix,
                               absl::string_view mount) {
  std::vector<std::string> out;
  for (absl::string_view path : paths)
    if (absl::ConsumePrefix(&path, prefix)) out.push_back(absl::StrCat(mount, path));
  return out;
}

}  // namespace

GitDirectory OpenGitDirectory(const std::string& work_tree) {
  const std::string entry = absl::StrCat(work_tree, "/.git");
  GitDirectory out;
  struct stat info {};
  if (stat(entry.c_str(), &info) != 0) return out;
  if (S_ISDIR(info.st_mode)) {
    out.git = entry;
  } else {
    std::string line = FirstLine(entry);
    absl::string_view target = line;
    if (!absl::ConsumePrefix(&target, "gitdir:")) return out;
    out.git = From(work_tree, absl::StripAsciiWhitespace(target));
  }
  out.work_tree = work_tree;
  const std::string common = FirstLine(absl::StrCat(out.git, "/commondir"));
  out.common = common.empty() ? out.git : From(out.git, common);
  return out;
}

TrackedFiles::TrackedFiles(std::vector<std::string> files, std::vector<std::string> submodules)
    : files_(std::move(files)), submodules_(std::move(submodules)) {}

bool TrackedFiles::Contains(absl::string_view path) const {
  const auto it = std::lower_bound(files_.begin(), files_.end(), path,
                                   [](const std::string& a, absl::string_view b) { return absl::string_view(a) < b; });
  return it != files_.end() && *it == path;
}

bool TrackedFiles::HasBelow(absl::string_view directory) const {
  if (std::find(submodules_.begin(), submodules_.end(), directory) != submodules_.end()) return true;
  const std::string prefix = absl::StrCat(directory, "/");
  for (const std::vector<std::string>* paths : {&files_, &submodules_}) {
    const auto it = std::lower_bound(paths->begin(), paths->end(), prefix);
    if (it != paths->end() && absl::StartsWith(*it, prefix)) return true;
  }
  return false;
}

TrackedFiles ReadTrackedFiles(const GitDirectory& directory, absl::string_view prefix, absl::string_view mount,
                              std::vector<std::string>& warnings) {
  if (directory.git.empty()) return {};
  const absl::StatusOr<GitIndex> index = ReadWholeIndex(directory);
  if (!index.ok()) {
    if (!absl::IsNotFound(index.status()) || !FileExists(directory.git)) {
      warnings.push_back(absl::StrCat("cannot read the git index, so only the ignore files are used: ",
                                      FileExists(directory.git) ? index.status().message() : "there is no ",
                                      FileExists(directory.git) ? "" : directory.git));
    }
    return {};
  }
  return TrackedFiles(Moved(index->files, prefix, mount), Moved(index->submodules, prefix, mount));
}

std::vector<std::string> ParseGitModules(absl::string_view text) {
  std::vector<std::string> paths;
  bool in_submodule = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "[")) in_submodule = absl::StartsWithIgnoreCase(line, "[submodule");
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (!in_submodule || !absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), "path")) continue;
    absl::string_view path = absl::StripAsciiWhitespace(parts.second);
    if (absl::ConsumePrefix(&path, "\"")) absl::ConsumeSuffix(&path, "\"");
    absl::ConsumeSuffix(&path, "/");
    if (!path.empty()) paths.emplace_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace riseml::sync
