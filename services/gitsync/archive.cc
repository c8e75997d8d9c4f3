#include "services/gitsync/archive.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"
#include "services/gitsync/tree_reader.h"

namespace riseml::gitsync {
namespace {

absl::Status AddTree(const ObjectDatabase& objects, const git::ObjectId& tree, const std::string& prefix,
                     TarWriter& tar) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, tree));
  for (const git::TreeEntry& entry : entries) {
    const std::string path = absl::StrCat(prefix, entry.name);
    if (entry.mode == git::Mode::kDirectory) {
      RISEML_RETURN_IF_ERROR(tar.AddDirectory(path));
      RISEML_RETURN_IF_ERROR(AddTree(objects, entry.id, absl::StrCat(path, "/"), tar));
      continue;
    }
    RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kBlob, entry.id));
    if (entry.mode == git::Mode::kSymlink) {
      RISEML_RETURN_IF_ERROR(tar.AddLink(path, content));
    } else {
      RISEML_RETURN_IF_ERROR(tar.AddFile(path, entry.mode == git::Mode::kExecutable, content));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommitInfo> FindCommit(const Repository& repository, absl::string_view commit) {
  const std::optional<git::ObjectId> id = git::FromHex(commit);
  if (!id) return Error(Reason::kInvalidArgument, "a commit is 40 lower-case hex digits");
  return repository.ReadCommit(*id);
}

absl::Status WriteArchive(const Repository& repository, absl::string_view commit, const ByteSink& sink) {
  RISEML_ASSIGN_OR_RETURN(const CommitInfo info, FindCommit(repository, commit));
  TarWriter tar({.modified = info.time}, sink);
  RISEML_RETURN_IF_ERROR(AddTree(repository.objects(), info.tree, "", tar));
  return tar.Finish();
}

}  // namespace riseml::gitsync
