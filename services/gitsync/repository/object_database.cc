#include "services/gitsync/repository/object_database.h"

#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::gitsync {
namespace {

// A pack that was just written comes first: most of what is read lies there.
constexpr int kPackPriority = 10;

std::optional<git::ObjectKind> KindOf(git_object_t type) {
  if (type == GIT_OBJECT_BLOB) return git::ObjectKind::kBlob;
  if (type == GIT_OBJECT_TREE) return git::ObjectKind::kTree;
  if (type == GIT_OBJECT_COMMIT) return git::ObjectKind::kCommit;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<ObjectDatabase> ObjectDatabase::Create() {
  git_odb* raw = nullptr;
  if (const int code = git_odb_new(&raw); code != 0) return GitError(code, "make an object database");
  return ObjectDatabase(GitHandle<git_odb>(raw));
}

absl::Status ObjectDatabase::AddRepository(const std::string& repository_path) {
  const std::string objects = absl::StrCat(repository_path, "/objects");
  const int code = git_odb_add_disk_alternate(odb_.get(), objects.c_str());
  return code == 0 ? absl::OkStatus() : GitError(code, absl::StrCat("open ", objects));
}

absl::Status ObjectDatabase::AddPack(const std::string& index_path) {
  git_odb_backend* backend = nullptr;
  int code = git_odb_backend_one_pack(&backend, index_path.c_str());
  if (code == 0) {
    code = git_odb_add_backend(odb_.get(), backend, kPackPriority);
    if (code != 0) backend->free(backend);
  }
  return code == 0 ? absl::OkStatus() : GitError(code, absl::StrCat("open ", index_path));
}

absl::Status ObjectDatabase::ServeFor(git_repository* repository) const {
  const int code = git_repository_set_odb(repository, odb_.get());
  return code == 0 ? absl::OkStatus() : GitError(code, "set the object database of a repository");
}

bool ObjectDatabase::Has(const git::ObjectId& id) const {
  const git_oid oid = ToGit(id);
  // Without the flag every absent object makes libgit2 list the packs again.
  return git_odb_exists_ext(odb_.get(), &oid, GIT_ODB_LOOKUP_NO_REFRESH) == 1;
}

absl::StatusOr<std::optional<ObjectDatabase::Info>> ObjectDatabase::Find(const git::ObjectId& id) const {
  if (!Has(id)) return std::optional<Info>();
  const git_oid oid = ToGit(id);
  std::size_t bytes = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  if (const int code = git_odb_read_header(&bytes, &type, odb_.get(), &oid); code != 0)
    return GitError(code, absl::StrCat("read the header of object ", git::Hex(id)));
  const std::optional<git::ObjectKind> kind = KindOf(type);
  if (!kind)
    return absl::DataLossError(
        absl::StrCat("object ", git::Hex(id), " is not a blob, tree or commit; gitsync stores no other kind"));
  return std::optional<Info>(Info{*kind, static_cast<std::int64_t>(bytes)});
}

absl::StatusOr<std::string> ObjectDatabase::Read(git::ObjectKind kind, const git::ObjectId& id) const {
  const auto absent = [&] {
    return Error(Reason::kNotFound, absl::StrCat("there is no ", git::Name(kind), " ", git::Hex(id)));
  };
  if (!Has(id)) return absent();
  const git_oid oid = ToGit(id);
  git_odb_object* raw = nullptr;
  if (const int code = git_odb_read(&raw, odb_.get(), &oid); code != 0)
    return GitError(code, absl::StrCat("read object ", git::Hex(id)));
  const GitHandle<git_odb_object> object(raw);
  if (KindOf(git_odb_object_type(raw)) != kind) return absent();
  return std::string(static_cast<const char*>(git_odb_object_data(raw)), git_odb_object_size(raw));
}

absl::StatusOr<std::vector<git::ObjectId>> ObjectDatabase::List() const {
  std::vector<git::ObjectId> ids;
  const auto add = [](const git_oid* id, void* out) {
    static_cast<std::vector<git::ObjectId>*>(out)->push_back(FromGit(*id));
    return 0;
  };
  if (const int code = git_odb_foreach(odb_.get(), add, &ids); code != 0) return GitError(code, "list the objects");
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace riseml::gitsync
