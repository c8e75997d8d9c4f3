#include "services/gitsync/repository/git_handle.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::gitsync {
namespace {

constexpr ssize_t kCacheBytes = 64 << 20;
constexpr std::size_t kMappedBytes = std::size_t{512} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<GitLibrary>> GitLibrary::Start() {
  if (const int code = git_libgit2_init(); code < 0) return GitError(code, "start libgit2");
  std::unique_ptr<GitLibrary> library(new GitLibrary());
  int code = git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
  // The volume may belong to another user id than the service's.
  if (code == 0) code = git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
  if (code == 0) code = git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, kCacheBytes);
  if (code == 0) code = git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, kMappedBytes);
  for (const int level :
       {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA})
    if (code == 0) code = git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
  if (code < 0) return GitError(code, "configure libgit2");
  return library;
}

GitLibrary::~GitLibrary() { git_libgit2_shutdown(); }

absl::Status GitError(int code, absl::string_view doing) {
  const int error = errno;
  const git_error* last = git_error_last();
  const std::string message = absl::StrCat(doing, ": ", last == nullptr ? "unknown error of libgit2" : last->message);
  if (code == GIT_ENOTFOUND) return Error(Reason::kNotFound, message);
  if (last != nullptr && last->klass == GIT_ERROR_OS && (error == ENOSPC || error == EDQUOT))
    return WithMetadata(Error(Reason::kDiskFull, message), "cause", error == EDQUOT ? "QUOTA" : "DEVICE");
  return absl::InternalError(message);
}

git_oid ToGit(const git::ObjectId& id) {
  git_oid out;
  git_oid_fromraw(&out, id.bytes.data());
  return out;
}

git::ObjectId FromGit(const git_oid& id) {
  git::ObjectId out;
  std::memcpy(out.bytes.data(), id.id, out.bytes.size());
  return out;
}

}  // namespace riseml::gitsync
