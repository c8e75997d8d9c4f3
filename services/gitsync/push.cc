#include "services/gitsync/push.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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

// Does the newest revision have this tree? DATA_LOSS when its commit is gone.
absl::StatusOr<bool> HasTree(const RepositoryStore& store, const ProjectState& project, const git::ObjectId& tree) {
  if (project.head.empty()) return false;
  const std::optional<git::ObjectId> commit = git::FromHex(project.head);
  if (!commit) return absl::InternalError("api named a newest revision that is no commit id");
  const absl::StatusOr<Repository> repository = store.OpenRepository(project.id);
  const absl::StatusOr<CommitInfo> info =
      repository.ok() ? repository->ReadCommit(*commit) : absl::StatusOr<CommitInfo>(repository.status());
  if (HasReason(info.status(), Reason::kNotFound))
    return absl::DataLossError(
        absl::StrCat("revision ", project.head, " of project ", project.id.value,
                     " is not in its repository any more; restore the repositories from a backup"));
  RISEML_RETURN_IF_ERROR(info.status());
  return info->tree == tree;
}

}  // namespace

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
    RISEML_ASSIGN_OR_RETURN(const ProjectState project, registry_.Resolve(target.project, false, target.author));
    RISEML_ASSIGN_OR_RETURN(const bool has_tree, HasTree(store_, project, header.tree));
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
  if (known_) return FinishKnown();
  RISEML_RETURN_IF_ERROR(reader_.Finish());

  const std::string content = PrintCommit(header_.tree, header_.parent, target_.user, pusher_.clock_.Now());
  RISEML_ASSIGN_OR_RETURN(const git::ObjectId commit, writer_->Add(git::ObjectKind::kCommit, content));
  RISEML_ASSIGN_OR_RETURN(const PackFiles pack, writer_->Finish());
  RISEML_ASSIGN_OR_RETURN(const TreeSummary summary, Check(pack));

  RISEML_ASSIGN_OR_RETURN(const ProjectState project, pusher_.registry_.Resolve(target_.project, true, target_.author));
  if (project.head != header_.parent) {
    RISEML_ASSIGN_OR_RETURN(const bool has_tree, HasTree(pusher_.store_, project, header_.tree));
    if (!has_tree) return Outdated(target_.project);
    known_ = git::FromHex(project.head);
    target_.id = project.id;
    return FinishKnown();
  }
  RISEML_ASSIGN_OR_RETURN(Repository repository, pusher_.store_.EnsureRepository(project.id));
  RISEML_RETURN_IF_ERROR(repository.AddPack(pack));

  NewRevision revision{project.id,    git::Hex(commit), git::Hex(header_.tree),  header_.parent,
                       summary.files, summary.bytes,    header_.snapshot_window, target_.author};
  v1::PushResponse response;
  RISEML_ASSIGN_OR_RETURN(*response.mutable_revision(), pusher_.registry_.Register(revision));
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
                             summary.files, summary.bytes,     header_.snapshot_window, target_.author};
  v1::PushResponse response;
  // Registered already: the registry answers with what it has.
  RISEML_ASSIGN_OR_RETURN(*response.mutable_revision(), pusher_.registry_.Register(revision));
  MoveRefs(target_.id, *known_);
  return response;
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
