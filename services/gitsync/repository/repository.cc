#include "services/gitsync/repository/repository.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::gitsync {
namespace {

constexpr char kMain[] = "refs/heads/main";

absl::Status SyncFile(const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY));
  return fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("fsync ", path));
}

// Makes a small directory tree durable.
absl::Status SyncTree(const std::string& path) {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    RISEML_RETURN_IF_ERROR(SyncFile(it->path().string()));
  if (error) return ErrnoError(error.value(), absl::StrCat("list ", path));
  return SyncFile(path);
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return ErrnoError(errno, absl::StrCat("rename ", from, " to ", to));
}

}  // namespace

absl::StatusOr<Repository> Repository::Open(const std::string& path) {
  if (!FileExists(path)) return Error(Reason::kNotFound, "nothing was pushed to this project yet");
  git_repository* raw = nullptr;
  if (const int code = git_repository_open_bare(&raw, path.c_str()); code != 0)
    return GitError(code, absl::StrCat("open ", path));
  GitHandle<git_repository> repository(raw);
  RISEML_ASSIGN_OR_RETURN(ObjectDatabase objects, ObjectDatabase::Create());
  RISEML_RETURN_IF_ERROR(objects.AddRepository(path));
  RISEML_RETURN_IF_ERROR(objects.ServeFor(repository.get()));
  return Repository(path, std::move(repository), std::move(objects));
}

absl::Status Repository::Create(const std::string& path) {
  git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
  options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH | GIT_REPOSITORY_INIT_NO_DOTGIT_DIR;
  options.initial_head = "main";
  options.description = "Revisions of a RiseML project";
  git_repository* raw = nullptr;
  if (const int code = git_repository_init_ext(&raw, path.c_str(), &options); code != 0)
    return GitError(code, absl::StrCat("make repository ", path));
  git_repository_free(raw);
  return SyncTree(path);
}

absl::StatusOr<CommitInfo> Repository::ReadCommit(const git::ObjectId& id) const {
  const git_oid oid = ToGit(id);
  git_commit* raw = nullptr;
  if (const int code = git_commit_lookup(&raw, repository_.get(), &oid); code != 0)
    return GitError(code, absl::StrCat("read commit ", git::Hex(id)));
  const GitHandle<git_commit> commit(raw);
  CommitInfo info;
  info.tree = FromGit(*git_commit_tree_id(raw));
  if (git_commit_parentcount(raw) > 0) info.parent = git::Hex(FromGit(*git_commit_parent_id(raw, 0)));
  info.time = absl::FromUnixSeconds(git_commit_time(raw));
  return info;
}

absl::Status Repository::AddPack(const PackFiles& pack) {
  // A random name: two pushes may have equal content at once, and each index must stay with its pack.
  const std::string directory = absl::StrCat(path_, "/objects/pack");
  const std::string stem = absl::StrCat(directory, "/pack-", absl::BytesToHexString(RandomBytes(20)));
  RISEML_RETURN_IF_ERROR(Rename(absl::StrCat(pack.stem, ".pack"), absl::StrCat(stem, ".pack")));
  RISEML_RETURN_IF_ERROR(Rename(absl::StrCat(pack.stem, ".idx"), absl::StrCat(stem, ".idx")));
  return SyncDirectory(directory);
}

absl::Status Repository::MoveRefs(const git::ObjectId& commit) {
  const git_oid oid = ToGit(commit);
  const std::string name = absl::StrCat("refs/revisions/", git::Hex(commit));
  git_reference* raw = nullptr;
  int code = git_reference_create(&raw, repository_.get(), name.c_str(), &oid, 0, nullptr);
  GitHandle<git_reference> reference(raw);
  // The ref is named after the commit that it points to, so an existing ref is right.
  if (code != 0 && code != GIT_EEXISTS) return GitError(code, absl::StrCat("make ", name, " in ", path_));

  git_oid current;
  code = git_reference_name_to_id(&current, repository_.get(), kMain);
  raw = nullptr;
  if (code == GIT_ENOTFOUND) {
    code = git_reference_create(&raw, repository_.get(), kMain, &oid, 0, nullptr);
  } else if (code == 0) {
    code = git_graph_descendant_of(repository_.get(), &oid, &current);
    if (code == 1) code = git_reference_create_matching(&raw, repository_.get(), kMain, &oid, 1, &current, nullptr);
  }
  reference.reset(raw);
  return code == 0 ? absl::OkStatus() : GitError(code, absl::StrCat("move ", kMain, " in ", path_));
}

absl::Status Repository::RemoveLeftovers(const std::string& path) {
  namespace fs = std::filesystem;
  std::vector<fs::path> leftovers;
  std::error_code error;
  const auto list = [&](const std::string& directory, auto&& is_leftover) {
    std::error_code ignored;  // an absent directory has no leftovers
    for (fs::directory_iterator it(absl::StrCat(path, directory), ignored), end; !ignored && it != end;
         it.increment(ignored))
      if (is_leftover(it->path())) leftovers.push_back(it->path());
  };
  const auto is_lock = [](const fs::path& file) { return file.extension() == ".lock"; };
  for (const char* directory : {"", "/refs", "/refs/heads", "/refs/revisions"}) list(directory, is_lock);
  list("/objects", [](const fs::path& file) { return absl::StartsWith(file.filename().string(), "tmp_object"); });
  list("/objects/pack", [](const fs::path& file) {
    std::error_code ignored;
    return file.extension() == ".pack" && !fs::exists(fs::path(file).replace_extension(".idx"), ignored);
  });
  for (const fs::path& leftover : leftovers)
    if (!fs::remove(leftover, error) && error)
      return ErrnoError(error.value(), absl::StrCat("remove ", leftover.string()));
  return absl::OkStatus();
}

std::string PrintCommit(const git::ObjectId& tree, absl::string_view parent, absl::string_view user, absl::Time time) {
  const absl::string_view name = IsValidUserPart(user) ? user : "unknown";
  const std::string who = absl::StrCat(name, " <", name, "@riseml> ", absl::ToUnixSeconds(time), " +0000\n");
  return absl::StrCat("tree ", git::Hex(tree), "\n", parent.empty() ? "" : "parent ", parent,
                      parent.empty() ? "" : "\n", "author ", who, "committer ", who, "\nPushed by ", name, "\n");
}

}  // namespace riseml::gitsync
