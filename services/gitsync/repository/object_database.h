// Reads git objects: of a repository, of a pack that is not part of one yet, or of both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/git/object_id.h"
#include "services/gitsync/repository/git_handle.h"

namespace riseml::gitsync {

// Sees the objects that were there when it was opened. Lives on one thread.
class ObjectDatabase {
 public:
  // Holds nothing until something is added.
  static absl::StatusOr<ObjectDatabase> Create();
  // Adds the objects of a repository.
  absl::Status AddRepository(const std::string& repository_path);
  // Adds one pack by its index file.
  absl::Status AddPack(const std::string& index_path);

  // Makes a repository that was just opened read its objects from here. Otherwise libgit2 would open the object
  // directory again, and libgit2 1.5 leaks memory if that directory has been removed meanwhile.
  absl::Status ServeFor(git_repository* repository) const;

  bool Has(const git::ObjectId& id) const;

  struct Info {
    git::ObjectKind kind = git::ObjectKind::kBlob;
    std::int64_t bytes = 0;
  };
  // Kind and size without reading the content; absent when there is no such object.
  absl::StatusOr<std::optional<Info>> Find(const git::ObjectId& id) const;

  // Whole content. NOT_FOUND when absent or of another kind.
  absl::StatusOr<std::string> Read(git::ObjectKind kind, const git::ObjectId& id) const;

  // Ids of all objects, each once.
  absl::StatusOr<std::vector<git::ObjectId>> List() const;

 private:
  explicit ObjectDatabase(GitHandle<git_odb> odb) : odb_(std::move(odb)) {}
  GitHandle<git_odb> odb_;
};

}  // namespace riseml::gitsync
