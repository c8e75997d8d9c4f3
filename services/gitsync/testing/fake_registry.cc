#include "services/gitsync/testing/fake_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::gitsync {

absl::StatusOr<ProjectState> FakeRegistry::Resolve(absl::string_view project, const ResolveOptions& options,
                                                   const Author&) {
  MutexLock lock(mu_);
  if (bytes_left_ && options.pack_bytes > *bytes_left_)
    return LimitExceeded("the owner keeps too much", *bytes_left_, options.pack_bytes);
  const std::string name(project);
  const auto it = projects_.find(name);
  if (it != projects_.end()) return ProjectState{it->second.id, it->second.head, false};
  if (!options.create) return Error(Reason::kNotFound, "there is no such project");
  const ProjectId id{NewUuid()};
  projects_[name] = Project{name, id, {}, ""};
  return ProjectState{id, "", true};
}

absl::StatusOr<v1::Revision> FakeRegistry::Register(const NewRevision& revision) {
  MutexLock lock(mu_);
  if (failure_) return *std::exchange(failure_, std::nullopt);
  if (deleted_) projects_.erase(*std::exchange(deleted_, std::nullopt));
  const auto it = std::find_if(projects_.begin(), projects_.end(),
                               [&](const auto& entry) { return entry.second.id == revision.project; });
  if (it == projects_.end()) return Error(Reason::kNotFound, "there is no such project");
  author_ = revision.author;
  Project& project = it->second;
  const auto known = project.revisions.find(revision.commit);
  if (known != project.revisions.end()) return known->second;
  if (project.head != revision.parent) return Error(Reason::kPushOutdated, "parent is not the newest revision");
  v1::Revision& out = project.revisions[revision.commit];
  out.set_name(absl::StrCat(project.name, "/revisions/", revision.commit));
  out.set_commit(revision.commit);
  out.set_tree(revision.tree);
  out.set_number(static_cast<std::int64_t>(project.revisions.size()));
  out.set_file_count(revision.file_count);
  out.set_total_bytes(revision.total_bytes);
  project.head = revision.commit;
  repository_bytes_ = revision.repository_bytes;
  if (lost_) return *std::exchange(lost_, std::nullopt);
  return out;
}

void FakeRegistry::FailNextRegister(absl::Status status) {
  MutexLock lock(mu_);
  failure_ = std::move(status);
}

void FakeRegistry::LoseNextAnswer(absl::Status status) {
  MutexLock lock(mu_);
  lost_ = std::move(status);
}

void FakeRegistry::SetBytesLeft(std::int64_t bytes) {
  MutexLock lock(mu_);
  bytes_left_ = bytes;
}

void FakeRegistry::Delete(absl::string_view project) {
  MutexLock lock(mu_);
  projects_.erase(std::string(project));
}

void FakeRegistry::DeleteBeforeNextRegister(absl::string_view project) {
  MutexLock lock(mu_);
  deleted_ = std::string(project);
}

std::int64_t FakeRegistry::repository_bytes() const {
  MutexLock lock(mu_);
  return repository_bytes_;
}

std::string FakeRegistry::UidOf(absl::string_view project) const {
  MutexLock lock(mu_);
  const auto it = projects_.find(std::string(project));
  return it == projects_.end() ? "" : it->second.id.value;
}

Author FakeRegistry::author() const {
  MutexLock lock(mu_);
  return author_;
}

int FakeRegistry::projects() const {
  MutexLock lock(mu_);
  return static_cast<int>(projects_.size());
}

}  // namespace riseml::gitsync
