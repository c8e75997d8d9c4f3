// Ports of gitsync to other services.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/v1/revision.pb.h"
#include "services/common/base/id.h"

namespace riseml::gitsync {

struct ProjectState {
  ProjectId id;
  std::string head;      // newest commit, 40 hex digits; empty when there is none
  bool created = false;  // by this call
};

// Author of a change, for the audit log.
struct Author {
  UserId user;
  std::string key_id;      // of the API key
  std::string peer;        // address
  std::string request_id;  // of the call
};

struct ResolveOptions {
  bool create = false;          // creates the project if it is absent
  std::int64_t pack_bytes = 0;  // about to be added to the repository; 0: none
};

struct NewRevision {
  ProjectId project;
  std::string commit;  // 40 hex digits
  std::string tree;    // 40 hex digits
  std::string parent;  // empty for the first revision
  std::int64_t file_count = 0;
  std::int64_t total_bytes = 0;
  absl::Duration snapshot_window;
  std::int64_t repository_bytes = 0;  // on the disk; 0: not measured
  Author author;
};

// Projects and revisions as api records them. Thread-safe.
class RevisionRegistry {
 public:
  virtual ~RevisionRegistry() = default;

  // `project` is a resource name. NOT_FOUND when it is absent and not to be created. LIMIT_EXCEEDED when its owner may
  // not keep `pack_bytes` more; then nothing is created.
  virtual absl::StatusOr<ProjectState> Resolve(absl::string_view project, const ResolveOptions& options,
                                               const Author& author) = 0;

  // Makes the commit the newest revision; atomic compare-and-swap on `parent` (PUSH_OUTDATED). A commit that is
  // registered already is returned as it is. NOT_FOUND when the project was deleted.
  virtual absl::StatusOr<v1::Revision> Register(const NewRevision& revision) = 0;
};

}  // namespace riseml::gitsync
