// The files of a revision, in memory, for tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "services/builder/code_files.h"

namespace riseml::builder {

class FakeFiles final : public CodeFiles {
 public:
  absl::StatusOr<CodeEntries> Read(const std::string&, const std::string& commit,
                                   const std::vector<std::string>& paths) override {
    asked.insert(asked.end(), paths.begin(), paths.end());
    if (!status.ok()) return status;
    CodeEntries found;
    for (const std::string& path : paths) {
      if (!ids.contains(path) && !path.empty()) continue;
      found[path].set_kind(path.empty() ? internal::v1::CodeEntry::DIRECTORY : internal::v1::CodeEntry::FILE);
      found[path].set_id(path.empty() ? commit : ids[path]);
      if (path.empty()) (*found[path].mutable_children())["train.py"].set_id(commit);
    }
    return found;
  }
  std::map<std::string, std::string> ids = {{"requirements.txt", std::string(40, 'a')}};
  std::vector<std::string> asked;
  absl::Status status;
};

}  // namespace riseml::builder
