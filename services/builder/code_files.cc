#include "services/builder/code_files.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::builder {

GitsyncCodeFiles::GitsyncCodeFiles(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(internal::v1::CodeService::NewStub(channel)) {}

absl::StatusOr<std::map<std::string, std::string>> GitsyncCodeFiles::Ids(const std::string& project_uid,
                                                                         const std::string& commit,
                                                                         const std::vector<std::string>& paths) {
  internal::v1::GetFileIdsRequest request;
  request.set_project_uid(project_uid);
  request.set_commit(commit);
  for (const std::string& path : paths) request.add_paths(path);
  const auto response = rpc::Invoke<internal::v1::GetFileIdsResponse>(
      [&](auto* context, auto* answer) { return stub_->GetFileIds(context, request, answer); },
      {.timeout = absl::Seconds(5)});
  if (!response.ok()) return While(absl::StrCat("read the files of commit ", commit), response.status());
  return std::map<std::string, std::string>(response->ids().begin(), response->ids().end());
}

absl::StatusOr<std::map<std::string, std::string>> CachedCodeFiles::Ids(const std::string& project_uid,
                                                                        const std::string& commit,
                                                                        const std::vector<std::string>& paths) {
  const auto key_of = [&](const std::string& path) { return absl::StrCat(project_uid, "/", commit, "/", path); };
  std::map<std::string, std::string> found;
  std::vector<std::string> missing;
  {
    MutexLock lock(mu_);
    for (const std::string& path : paths) {
      const auto it = ids_.find(key_of(path));
      if (it == ids_.end()) {
        missing.push_back(path);
      } else if (!it->second.empty()) {
        found.emplace(path, it->second);
      }
    }
  }
  if (missing.empty()) return found;
  RISEML_ASSIGN_OR_RETURN(const auto asked, files_.Ids(project_uid, commit, missing));
  MutexLock lock(mu_);
  if (ids_.size() + missing.size() > capacity_) ids_.clear();
  for (const std::string& path : missing) {
    const auto it = asked.find(path);
    const std::string id = it == asked.end() ? "" : it->second;
    if (ids_.size() < capacity_) ids_.emplace(key_of(path), id);
    if (!id.empty()) found.emplace(path, id);
  }
  return found;
}

}  // namespace riseml::builder
