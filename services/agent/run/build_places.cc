#include "services/agent/run/build_places.h"

#include <sys/stat.h>
#include <sys/statfs.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/run/kept_steps.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxMountsBytes = 4 << 20;
constexpr std::int64_t kTmpfsMagic = 0x01021994;

// Number of files in the sandbox's own root, which no later build would see; 0 when there is none.
std::int64_t FilesOfRoot() {
  struct statfs info {};
  return statfs("/", &info) == 0 && info.f_type == kTmpfsMagic
             ? static_cast<std::int64_t>(info.f_files) - static_cast<std::int64_t>(info.f_ffree)
             : 0;
}

// The text of a field of mountinfo, where a blank is "\040".
std::string Unescaped(absl::string_view field) {
  std::string out;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\' || i + 3 >= field.size()) {
      out += field[i];
      continue;
    }
    out += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
    i += 3;
  }
  return out;
}

absl::StatusOr<std::set<std::string>> MountPoints() {
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/self/mountinfo", kMaxMountsBytes));
  std::set<std::string> points;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 4) points.insert(Unescaped(fields[4]));
  }
  return points;
}

}  // namespace

absl::StatusOr<BuildPlaces> BuildPlaces::Look(const internal::v1::RunPlan& plan, absl::Time began) {
  if (began == absl::InfiniteFuture()) return absl::FailedPreconditionError("the clock of files cannot be read");
  BuildPlaces places;
  places.environment_ = plan.step_reuse().environment();
  places.code_ = plan.work_dir();
  places.temporary_ = plan.step_reuse().temporary();
  places.began_ = began;
  places.root_files_before_ = FilesOfRoot();
  RISEML_ASSIGN_OR_RETURN(places.mounts_, MountPoints());
  RISEML_ASSIGN_OR_RETURN(places.code_before_, places.NamesBelow(places.code_));
  RISEML_ASSIGN_OR_RETURN(places.temporary_before_, places.NamesBelow(places.temporary_));
  return places;
}

// Entries that vanish during the walk, such as files of other processes, are left out.
absl::StatusOr<std::set<std::string>> BuildPlaces::NamesBelow(const std::string& top) const {
  std::set<std::string> names;
  RISEML_RETURN_IF_ERROR(WalkTree(top, [&](const TreeEntry& entry) {
    names.insert(entry.path);
    return !mounts_.contains(absl::StrCat(top, "/", entry.path));
  }));
  return names;
}

// Returns the new entries and the directories that contain them.
absl::StatusOr<std::set<std::string>> BuildPlaces::NewInCode() const {
  RISEML_ASSIGN_OR_RETURN(const std::set<std::string> names, NamesBelow(code_));
  std::set<std::string> made;
  for (const std::string& name : names) {
    if (code_before_.contains(name)) continue;
    made.insert(name);
    for (std::size_t at = name.rfind('/'); at != std::string::npos; at = name.rfind('/', at - 1))
      made.insert(name.substr(0, at));
  }
  for (const std::string& name : code_before_) {
    struct stat info {};
    const bool there = lstat(absl::StrCat(code_, "/", name).c_str(), &info) == 0;
    if (!there || (!S_ISDIR(info.st_mode) && absl::TimeFromTimespec(info.st_ctim) >= began_))
      return absl::FailedPreconditionError(
          absl::StrCat("they ", there ? "change" : "remove", " ", name, ", a file of the project"));
  }
  return made;
}

std::vector<BuildPlace> BuildPlaces::All() const {
  return {
      {kKeptEnvironment, environment_, nullptr}, {kKeptCode, code_, nullptr}, {kKeptTemporary, temporary_, nullptr}};
}

absl::StatusOr<std::vector<BuildPlace>> BuildPlaces::Made() const {
  if (FilesOfRoot() != root_files_before_)
    return absl::FailedPreconditionError("they make files outside of the project, HOME, /tmp and the environment");
  RISEML_ASSIGN_OR_RETURN(std::set<std::string> code, NewInCode());
  std::vector<BuildPlace> places = All();
  places[1].is_made = [code = std::move(code)](const std::string& path) { return code.contains(path); };
  // All entries except mount points.
  places[2].is_made = [this](const std::string& path) {
    return !mounts_.contains(absl::StrCat(temporary_, "/", path));
  };
  return places;
}

absl::Status BuildPlaces::CheckForConflicts(const std::string& kept) const {
  RISEML_ASSIGN_OR_RETURN(const std::set<std::string> names, NamesBelow(kept));
  for (const std::string& name : names) {
    struct stat made {
    }, there{};
    if (lstat(absl::StrCat(code_, "/", name).c_str(), &there) != 0) continue;
    if (lstat(absl::StrCat(kept, "/", name).c_str(), &made) != 0 || !S_ISDIR(made.st_mode) || !S_ISDIR(there.st_mode))
      return absl::FailedPreconditionError(absl::StrCat("the project now has ", name, ", which they make"));
  }
  return absl::OkStatus();
}

absl::Status BuildPlaces::RemoveNew(const std::string& top, const std::set<std::string>& before) const {
  std::vector<std::string> made;
  RISEML_RETURN_IF_ERROR(WalkTree(top, [&](const TreeEntry& entry) {
    const std::string path = absl::StrCat(top, "/", entry.path);
    const bool is_new = !before.contains(entry.path);
    if (is_new) made.push_back(path);
    return !is_new && !mounts_.contains(path);
  }));
  for (const std::string& path : made) RISEML_RETURN_IF_ERROR(RemoveTree(path));
  return absl::OkStatus();
}

absl::Status BuildPlaces::RemoveMade() const {
  RISEML_RETURN_IF_ERROR(ClearEnvironment());
  RISEML_RETURN_IF_ERROR(RemoveNew(code_, code_before_));
  return RemoveNew(temporary_, temporary_before_);
}

}  // namespace riseml::agent
