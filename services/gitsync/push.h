// Makes a revision from a push.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/v1/file.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/id.h"
#include "services/gitsync/frame_reader.h"
#include "services/gitsync/limits.h"
#include "services/gitsync/ports.h"
#include "services/gitsync/repository/pack_writer.h"
#include "services/gitsync/repository/repository_store.h"
#include "services/gitsync/tree_check.h"

namespace riseml::gitsync {

// Pusher and project of a push. Access has been checked.
struct PushTarget {
  std::string project;  // canonical resource name
  ProjectId id;         // empty when the project does not exist yet
  std::string user;     // name part
  Author author;
};

class PushSession;

// Thread-safe.
class Pusher {
 public:
  // `store`, `registry` and `clock` outlive this.
  Pusher(RepositoryStore& store, RevisionRegistry& registry, const Limits& limits, const Clock& clock)
      : store_(store), registry_(registry), limits_(limits), clock_(clock) {}

  // Begins a push. PUSH_OUTDATED if the header's parent is not the newest revision. The session must not outlive this.
  absl::StatusOr<std::unique_ptr<PushSession>> Begin(const v1::PushHeader& header, const PushTarget& target);

 private:
  friend class PushSession;

  // Resolves the project of a push, and creates it if it did not exist when access was checked. NOT_FOUND when it was
  // deleted since then, even if there is a new one of this name.
  absl::StatusOr<ProjectState> Resolve(const PushTarget& target, std::int64_t pack_bytes);

  RepositoryStore& store_;
  RevisionRegistry& registry_;
  const Limits limits_;
  const Clock& clock_;
  TreeSummaryCache summaries_;
};

// One push: Add for each frame, then Finish. Destroyed before that, it leaves nothing behind. Lives on one thread.
class PushSession {
 public:
  // True when the newest revision has the tree already: no frame is needed.
  bool is_known() const { return known_.has_value(); }

  absl::Status Add(const v1::PushFrame& frame) { return reader_.Add(frame); }

  // First the objects become durable, then the registry accepts the commit, then the references move. A crash before
  // the registry accepts leaves only objects that nobody names. INVALID_ARGUMENT, LIMIT_EXCEEDED, PUSH_OUTDATED,
  // NOT_FOUND if the project was deleted meanwhile, and the registry's errors.
  absl::StatusOr<v1::PushResponse> Finish();

 private:
  friend class Pusher;
  struct Header {
    git::ObjectId tree;
    std::string parent;
    absl::Duration snapshot_window;
  };

  PushSession(Pusher& pusher, Header header, PushTarget target, TemporaryDirectory temporary,
              std::unique_ptr<PackWriter> writer)
      : pusher_(pusher),
        header_(std::move(header)),
        target_(std::move(target)),
        temporary_(std::move(temporary)),
        writer_(std::move(writer)),
        reader_(pusher.limits_, *writer_) {}

  absl::StatusOr<v1::PushResponse> FinishNew();
  absl::StatusOr<v1::PushResponse> FinishKnown();
  absl::StatusOr<v1::Revision> Register(const NewRevision& revision);
  absl::StatusOr<TreeSummary> Check(const PackFiles& pack);
  void MoveRefs(const ProjectId& project, const git::ObjectId& commit);

  Pusher& pusher_;
  const Header header_;
  PushTarget target_;  // with the id of a project that this push has created
  TemporaryDirectory temporary_;
  std::unique_ptr<PackWriter> writer_;
  FrameReader reader_;
  std::optional<git::ObjectId> known_;  // commit that has the tree
};

}  // namespace riseml::gitsync
