#include "services/gitsync/tree_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::gitsync {

absl::StatusOr<std::vector<git::TreeEntry>> ReadTree(const ObjectDatabase& objects, const git::ObjectId& tree) {
  RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kTree, tree));
  return git::ParseTree(content);
}

std::string PathBelow(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : absl::StrCat(directory, "/", name);
}

absl::StatusOr<git::ObjectId> FindDirectory(const ObjectDatabase& objects, git::ObjectId tree,
                                            const std::string& directory,
                                            const std::function<absl::Status(const std::string& path)>& on_way) {
  std::string path;
  for (const absl::string_view name : absl::StrSplit(directory, '/', absl::SkipEmpty())) {
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, tree));
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const git::TreeEntry& entry) {
      return entry.name == name && entry.mode == git::Mode::kDirectory;
    });
    path = PathBelow(path, std::string(name));
    if (found == entries.end()) return NotFound(absl::StrCat("directory ", git::Printable(path)));
    tree = found->id;
    RISEML_RETURN_IF_ERROR(on_way(path));
  }
  return tree;
}

}  // namespace riseml::gitsync
