// Port to the code of projects, its adapter for gitsync, and a cache in front of it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::builder {

using CodeEntries = std::map<std::string, internal::v1::CodeEntry>;

// Files, links and directories of a revision. Thread-safe.
class CodeFiles {
 public:
  virtual ~CodeFiles() = default;
  // Returns the entries at `paths` ("" is the root), by path. Leaves absent ones out. Takes at most 500 paths.
  virtual absl::StatusOr<CodeEntries> Read(const std::string& project_uid, const std::string& commit,
                                           const std::vector<std::string>& paths) = 0;
};

// Asks gitsync. A call ends after 5 s at the latest.
class GitsyncCodeFiles final : public CodeFiles {
 public:
  explicit GitsyncCodeFiles(const std::shared_ptr<grpc::Channel>& channel);
  absl::StatusOr<CodeEntries> Read(const std::string& project_uid, const std::string& commit,
                                   const std::vector<std::string>& paths) override;

 private:
  std::unique_ptr<internal::v1::CodeService::Stub> stub_;
};

// Remembers answers: a commit never changes. At most `capacity` bytes; the cache starts anew when it is full.
class CachedCodeFiles final : public CodeFiles {
 public:
  // `files` outlives this.
  CachedCodeFiles(CodeFiles& files, std::size_t capacity) : files_(files), capacity_(capacity) {}
  absl::StatusOr<CodeEntries> Read(const std::string& project_uid, const std::string& commit,
                                   const std::vector<std::string>& paths) override;

 private:
  CodeFiles& files_;
  const std::size_t capacity_;
  Mutex mu_;
  CodeEntries entries_ ABSL_GUARDED_BY(mu_);  // by project, commit and path; without a kind: nothing is there
  std::size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace riseml::builder
