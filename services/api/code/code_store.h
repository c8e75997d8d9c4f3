// Projects and revisions: read by users, registered by gitsync.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/access.pb.h"
#include "riseml/internal/v1/code.pb.h"
#include "riseml/v1/project.pb.h"
#include "riseml/v1/revision.pb.h"
#include "services/api/data/database.h"
#include "services/api/data/stored_bytes.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class CodeStore {
 public:
  CodeStore(Database& db, UserLimits limits) : db_(db), limits_(limits) {}  // `db` outlives this

  absl::StatusOr<v1::Project> GetProject(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::ListProjectsResponse> ListProjects(const rpc::Call& call, const v1::ListProjectsRequest& request);
  absl::StatusOr<v1::Revision> GetRevision(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::ListRevisionsResponse> ListRevisions(const rpc::Call& call,
                                                          const v1::ListRevisionsRequest& request);

  absl::StatusOr<internal::v1::ResolveProjectResponse> ResolveProject(
      const rpc::Call& call, const internal::v1::ResolveProjectRequest& request);
  absl::StatusOr<v1::Revision> RegisterRevision(const rpc::Call& call,
                                                const internal::v1::RegisterRevisionRequest& request);

  // Returns what `as_user` may do with an object: the answer to AccessService.Check. `as_user.caller` is the
  // credential's owner.
  absl::StatusOr<internal::v1::CheckResponse> Check(const rpc::Call& as_user,
                                                    const internal::v1::CheckRequest& request);

 private:
  Database& db_;
  const UserLimits limits_;
};

}  // namespace riseml::api
