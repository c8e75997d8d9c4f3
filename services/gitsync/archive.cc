#include "services/gitsync/archive.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"
#include "services/gitsync/limits.h"

namespace riseml::gitsync {
namespace {

absl::StatusOr<CommitInfo> FindCommit(const Repository& repository, absl::string_view commit) {
  const std::optional<git::ObjectId> id = git::FromHex(commit);
  if (!id) return Error(Reason::kInvalidArgument, "a commit is 40 lower-case hex digits");
  return repository.ReadCommit(*id);
}

absl::StatusOr<std::vector<git::TreeEntry>> ReadTree(const ObjectDatabase& objects, const git::ObjectId& tree) {
  RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kTree, tree));
  return git::ParseTree(content);
}

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

absl::StatusOr<std::optional<git::ObjectId>> FindFile(const ObjectDatabase& objects, git::ObjectId tree,
                                                      absl::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, tree));
    const auto it =
        std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == parts[i]; });
    if (it == entries.end()) return std::optional<git::ObjectId>();
    const bool is_directory = it->mode == git::Mode::kDirectory;
    const bool is_last = i + 1 == parts.size();
    if (is_last != !is_directory) return std::optional<git::ObjectId>();
    if (is_last) return std::optional<git::ObjectId>(it->id);
    tree = it->id;
  }
  return std::optional<git::ObjectId>();
}

}  // namespace

absl::Status WriteArchive(const Repository& repository, absl::string_view commit, const ByteSink& sink) {
  RISEML_ASSIGN_OR_RETURN(const CommitInfo info, FindCommit(repository, commit));
  TarWriter tar(info.time, sink);
  RISEML_RETURN_IF_ERROR(AddTree(repository.objects(), info.tree, "", tar));
  return tar.Finish();
}

absl::StatusOr<std::map<std::string, std::string>> FindFileIds(const Repository& repository, absl::string_view commit,
                                                               const std::vector<std::string>& paths) {
  if (paths.size() > static_cast<std::size_t>(kMaxPathsPerCall))
    return Error(Reason::kLimitExceeded, absl::StrCat("at most ", kMaxPathsPerCall, " paths a call"));
  RISEML_ASSIGN_OR_RETURN(const CommitInfo info, FindCommit(repository, commit));
  std::map<std::string, std::string> ids;
  for (const std::string& path : paths) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<git::ObjectId> id, FindFile(repository.objects(), info.tree, path));
    if (id) ids[path] = git::Hex(*id);
  }
  return ids;
}

}  // namespace riseml::gitsync
