#include "services/gitsync/push.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::gitsync {
namespace {

absl::Status Outdated(absl::string_view project) {
  return Error(Reason::kPushOutdated,
               absl::StrCat("another push to ", project, " finished in the meantime; push again"));
}

// Returns the error for a deleted project. Its repository is removed through api's list of removals.
absl::Status Deleted(absl::string_view project) {
  return Error(Reason::kNotFound,
               absl::StrCat(project, " was deleted during the push; push again to make a new project of this name"));
}

absl::StatusOr<std::int64_t> BytesOf(const PackFiles& pack) {
  std::int64_t bytes = 0;
  for (const char* part : {".pack", ".idx"}) {
    std::error_code error;
    bytes += static_cast<std::int64_t>(std::filesystem::file_size(absl::StrCat(pack.stem, part), error));
    if (error) return ErrnoError(error.value(), absl::StrCat("look at ", pack.stem, part));
  }
  return bytes;
}

// Returns true if the newest revision has this tree. DATA_LOSS if its commit is gone, unless the project was deleted.
absl::StatusOr<bool> HasTree(const RepositoryStore& store, const ProjectState& project, const git::ObjectId& tree,
                             absl::string_view name) {
  if (project.head.empty()) return false;
  const std::optional<git::ObjectId> commit = git::FromHex(project.head);
  if (!commit) return absl::InternalError("api named a newest revision that is no commit id");
  const absl::StatusOr<Repository> repository = store.OpenRepository(project.id);
  const absl::StatusOr<CommitInfo> info =
      repository.ok() ? repository->ReadCommit(*commit) : absl::StatusOr<CommitInfo>(repository.status());
  if (!info.ok() && store.WasRemoved(project.id)) return Deleted(name);
  if (HasReason(info.status(), Reason::kNotFound))
    return absl::DataLossError(
        absl::StrCat("revision ", project.head, " of project ", project.id.value,
                     " is not in its repository any more; restore the repositories from a backup"));
  RISEML_RETURN_IF_ERROR(info.status());
  return info->tree == tree;
}

}  // namespace

absl::StatusOr<ProjectState> Pusher::Resolve(const PushTarget& target, std::int64_t pack_bytes) {
  const bool create = target.id.value.empty();
  absl::StatusOr<ProjectState> project =
      registry_.Resolve(target.project, {.create = create, .pack_bytes = pack_bytes}, target.author);
  if (!create && (HasReason(project.status(), Reason::kNotFound) || (project.ok() && project->id != target.id)))
    return Deleted(target.project);
  return project;
}

absl::StatusOr<std::unique_ptr<PushSession>> Pusher::Begin(const v1::PushHeader& request, const PushTarget& target) {
  PushSession::Header header;
  const std::optional<git::ObjectId> tree = git::FromRaw(request.tree());
  if (!tree) return Error(Reason::kInvalidArgument, "the header's tree is not an id of 20 bytes");
  if (!request.parent().empty() && !git::FromHex(request.parent()))
    return Error(Reason::kInvalidArgument, "the header's parent is neither empty nor 40 lower-case hex digits");
  header.tree = *tree;
  header.parent = request.parent();
  header.snapshot_window = std::max(FromProtoDuration(request.snapshot_window()), absl::ZeroDuration());

  std::optional<git::ObjectId> known;
  if (!target.id.value.empty()) {
    RISEML_ASSIGN_OR_RETURN(const ProjectState project, Resolve(target, 0));
    RISEML_ASSIGN_OR_RETURN(const bool has_tree, HasTree(store_, project, header.tree, target.project));
    if (has_tree) known = git::FromHex(project.head);
    if (!has_tree && project.head != header.parent) return Outdated(target.project);
  }
  RISEML_ASSIGN_OR_RETURN(TemporaryDirectory temporary, store_.MakeTemporary());
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<PackWriter> writer, PackWriter::Create(temporary.path()));
  std::unique_ptr<PushSession> session(
      new PushSession(*this, std::move(header), target, std::move(temporary), std::move(writer)));
  session->known_ = known;
  return session;
}

absl::StatusOr<v1::PushResponse> PushSession::Finish() {
  absl::StatusOr<v1::PushResponse> response = known_ ? FinishKnown() : FinishNew();
  // Many steps may fail once the repository's directory is gone.
  if (!response.ok() && pusher_.store_.WasRemoved(target_.id)) return Deleted(target_.project);
  return response;
}

absl::StatusOr<v1::PushResponse> PushSession::FinishNew() {
  RISEML_RETURN_IF_ERROR(reader_.Finish());

  const std::string content = PrintCommit(header_.tree, header_.parent, target_.user, pusher_.clock_.Now());
  RISEML_ASSIGN_OR_RETURN(const git::ObjectId commit, writer_->Add(git::ObjectKind::kCommit, content));
  RISEML_ASSIGN_OR_RETURN(const PackFiles pack, writer_->Finish());
  RISEML_ASSIGN_OR_RETURN(const TreeSummary summary, Check(pack));

  RISEML_ASSIGN_OR_RETURN(const std::int64_t pack_bytes, BytesOf(pack));
  RISEML_ASSIGN_OR_RETURN(const ProjectState project, pusher_.Resolve(target_, pack_bytes));
  target_.id = project.id;
  if (project.head != header_.parent) {
    RISEML_ASSIGN_OR_RETURN(const bool has_tree, HasTree(pusher_.store_, project, header_.tree, target_.project));
    if (!has_tree) return Outdated(target_.project);
    known_ = git::FromHex(project.head);
    return FinishKnown();
  }
  RISEML_ASSIGN_OR_RETURN(Repository repository, pusher_.store_.EnsureRepository(project.id));
  RISEML_RETURN_IF_ERROR(repository.AddPack(pack));

  NewRevision revision{project.id,    git::Hex(commit), git::Hex(header_.tree),  header_.parent,
                       summary.files, summary.bytes,    header_.snapshot_window, DiskBytesBelow(repository.path()),
                       target_.author};
  v1::PushResponse response;
  RISEML_ASSIGN_OR_RETURN(*response.mutable_revision(), Register(revision));
  response.set_created(true);
  response.set_project_created(project.created);
  MoveRefs(project.id, commit);
  LogInfo("revision_pushed", {{"project", target_.project},
                              {"commit", revision.commit},
                              {"files", summary.files},
                              {"bytes", summary.bytes},
                              {"new_objects", reader_.objects().size()}});
  return response;
}

absl::StatusOr<v1::PushResponse> PushSession::FinishKnown() {
  RISEML_ASSIGN_OR_RETURN(const Repository repository, pusher_.store_.OpenRepository(target_.id));
  RISEML_ASSIGN_OR_RETURN(const CommitInfo info, repository.ReadCommit(*known_));
  RISEML_ASSIGN_OR_RETURN(const TreeSummary summary,
                          CheckTree(info.tree, {}, repository.objects(), pusher_.limits_, pusher_.summaries_));
  const NewRevision revision{target_.id,    git::Hex(*known_), git::Hex(info.tree),     info.parent,
                             summary.files, summary.bytes,     header_.snapshot_window, 0,
                             target_.author};
  v1::PushResponse response;
  // The revision is registered already, so the registry returns its record.
  RISEML_ASSIGN_OR_RETURN(*response.mutable_revision(), Register(revision));
  MoveRefs(target_.id, *known_);
  return response;
}

absl::StatusOr<v1::Revision> PushSession::Register(const NewRevision& revision) {
  absl::StatusOr<v1::Revision> registered = pusher_.registry_.Register(revision);
  if (HasReason(registered.status(), Reason::kNotFound)) return Deleted(target_.project);
  return registered;
}

absl::StatusOr<TreeSummary> PushSession::Check(const PackFiles& pack) {
  RISEML_ASSIGN_OR_RETURN(ObjectDatabase objects, ObjectDatabase::Create());
  RISEML_RETURN_IF_ERROR(objects.AddPack(absl::StrCat(pack.stem, ".idx")));
  if (!target_.id.value.empty()) {
    const absl::StatusOr<Repository> repository = pusher_.store_.OpenRepository(target_.id);
    if (repository.ok()) RISEML_RETURN_IF_ERROR(objects.AddRepository(repository->path()));
    if (!repository.ok() && !HasReason(repository.status(), Reason::kNotFound)) return repository.status();
  }
  return CheckTree(header_.tree, reader_.objects(), objects, pusher_.limits_, pusher_.summaries_);
}

void PushSession::MoveRefs(const ProjectId& project, const git::ObjectId& commit) {
  // The revision exists; the references are for git's own clients, and the next push moves them on.
  if (const absl::Status status = pusher_.store_.MoveRefs(project, commit); !status.ok())
    LogError("references_not_moved",
             {{"project", project.value}, {"commit", git::Hex(commit)}, {"error", status.message()}});
}

}  // namespace riseml::gitsync
