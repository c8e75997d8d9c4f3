#include "services/builder/code_files.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::builder {

using internal::v1::CodeEntry;

GitsyncCodeFiles::GitsyncCodeFiles(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(internal::v1::CodeService::NewStub(channel)) {}

absl::StatusOr<CodeEntries> GitsyncCodeFiles::Read(const std::string& project_uid, const std::string& commit,
                                                   const std::vector<std::string>& paths) {
  internal::v1::ReadEntriesRequest request;
  request.set_project_uid(project_uid);
  request.set_commit(commit);
  for (const std::string& path : paths) request.add_paths(path);
  const auto response = rpc::Invoke<internal::v1::ReadEntriesResponse>(
      [&](auto* context, auto* answer) { return stub_->ReadEntries(context, request, answer); },
      {.timeout = absl::Seconds(5)});
  if (!response.ok()) return While(absl::StrCat("read the files of commit ", commit), response.status());
  return CodeEntries(response->entries().begin(), response->entries().end());
}

absl::StatusOr<CodeEntries> CachedCodeFiles::Read(const std::string& project_uid, const std::string& commit,
                                                  const std::vector<std::string>& paths) {
  const auto key_of = [&](const std::string& path) { return absl::StrCat(project_uid, "/", commit, "/", path); };
  CodeEntries found;
  std::vector<std::string> missing;
  {
    MutexLock lock(mu_);
    for (const std::string& path : paths) {
      const auto it = entries_.find(key_of(path));
      if (it == entries_.end()) {
        missing.push_back(path);
      } else if (it->second.kind() != CodeEntry::KIND_UNSPECIFIED) {
        found.emplace(path, it->second);
      }
    }
  }
  if (missing.empty()) return found;
  RISEML_ASSIGN_OR_RETURN(CodeEntries asked, files_.Read(project_uid, commit, missing));
  MutexLock lock(mu_);
  for (const std::string& path : missing) {
    CodeEntry& entry = asked[path];
    const std::string key = key_of(path);
    const std::size_t bytes = key.size() + entry.ByteSizeLong() + 100;
    if (bytes_ + bytes > capacity_) {
      entries_.clear();
      bytes_ = 0;
    }
    // A file too large for this answer may fit into the next.
    if (!entry.content_left_out() && bytes <= capacity_ && entries_.emplace(key, entry).second) bytes_ += bytes;
    if (entry.kind() != CodeEntry::KIND_UNSPECIFIED) found.emplace(path, std::move(entry));
  }
  return found;
}

}  // namespace riseml::builder
