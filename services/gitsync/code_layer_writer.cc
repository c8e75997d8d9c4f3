#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"
#include "services/gitsync/code_layers.h"
#include "services/gitsync/tree_reader.h"

namespace riseml::gitsync {
namespace {

// Time of all entries. Not before 1980: zip, and with it Python's wheels, cannot say an earlier one.
constexpr std::int64_t kEntryTime = 946'684'800;  // 2000-01-01

absl::Status AddEntries(const ObjectDatabase& objects, const git::ObjectId& tree, const std::string& directory,
                        const std::vector<std::string>& except, TarWriter& tar) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, tree));
  for (const git::TreeEntry& entry : entries) {
    const std::string path = PathBelow(directory, entry.name);
    if (absl::StartsWith(entry.name, ".wh."))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("the file ", git::Printable(path),
                                " cannot be part of an image, where names that begin with .wh. "
                                "mean deleted files; rename it, or exclude it in .risemlignore"));
    if (std::binary_search(except.begin(), except.end(), path)) continue;
    const std::string name = absl::StrCat(kCodeInImage, "/", path);
    if (entry.mode == git::Mode::kDirectory) {
      RISEML_RETURN_IF_ERROR(tar.AddDirectory(name));
      RISEML_RETURN_IF_ERROR(AddEntries(objects, entry.id, path, except, tar));
      continue;
    }
    RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kBlob, entry.id));
    RISEML_RETURN_IF_ERROR(entry.mode == git::Mode::kSymlink
                               ? tar.AddLink(name, content)
                               : tar.AddFile(name, entry.mode == git::Mode::kExecutable, content));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteCodeLayer(const ObjectDatabase& objects, const git::ObjectId& tree, const CodeLayer& layer,
                            const ByteSink& sink) {
  TarWriter tar({.modified = absl::FromUnixSeconds(kEntryTime), .group_writable = true}, sink);
  RISEML_RETURN_IF_ERROR(tar.AddDirectory(kCodeInImage));
  if (layer.directories.empty()) RISEML_RETURN_IF_ERROR(AddEntries(objects, tree, "", layer.except, tar));
  std::set<std::string> added;
  const auto add = [&](const std::string& path) {
    return added.insert(path).second ? tar.AddDirectory(absl::StrCat(kCodeInImage, "/", path)) : absl::OkStatus();
  };
  for (const std::string& directory : layer.directories) {
    RISEML_ASSIGN_OR_RETURN(const git::ObjectId id, FindDirectory(objects, tree, directory, add));
    RISEML_RETURN_IF_ERROR(AddEntries(objects, id, directory, {}, tar));
  }
  return tar.Finish();
}

}  // namespace riseml::gitsync
