// The revision registry in memory, for tests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "services/common/base/mutex.h"
#include "services/gitsync/ports.h"

namespace riseml::gitsync {

// Thread-safe.
class FakeRegistry final : public RevisionRegistry {
 public:
  absl::StatusOr<ProjectState> Resolve(absl::string_view project, const ResolveOptions& options,
                                       const Author& author) override;
  absl::StatusOr<v1::Revision> Register(const NewRevision& revision) override;

  // Who registered the last revision.
  Author author() const;
  // Bytes of the repository that the last Register told.
  std::int64_t repository_bytes() const;
  // The next Register fails with this and records nothing.
  void FailNextRegister(absl::Status status);
  // The next Register records the revision and fails all the same, as when the answer is lost.
  void LoseNextAnswer(absl::Status status);

  // Every pack of more bytes is refused.
  void SetBytesLeft(std::int64_t bytes);
  // Deletes a project, now or before the next Register does anything else.
  void Delete(absl::string_view project);
  void DeleteBeforeNextRegister(absl::string_view project);

  // UUID of a project; empty when there is none.
  std::string UidOf(absl::string_view project) const;
  int projects() const;

 private:
  struct Project {
    std::string name;
    ProjectId id;
    std::map<std::string, v1::Revision> revisions;  // by commit
    std::string head;
  };

  mutable Mutex mu_;
  std::map<std::string, Project> projects_ ABSL_GUARDED_BY(mu_);  // by name
  Author author_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> lost_ ABSL_GUARDED_BY(mu_);
  std::optional<std::string> deleted_ ABSL_GUARDED_BY(mu_);
  std::optional<std::int64_t> bytes_left_ ABSL_GUARDED_BY(mu_);
  std::int64_t repository_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace riseml::gitsync
