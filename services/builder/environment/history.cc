#include "services/builder/environment/history.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/builder/environment/stored.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

namespace fs = std::filesystem;
using internal::v1::KnownEnvironment;

constexpr char kKnown[] = ".known";
constexpr std::int64_t kMaxKnownBytes = 1 << 20;
constexpr std::size_t kMostOfProject = 50;
constexpr std::size_t kMostProjects = 10'000;
constexpr absl::Duration kKnownAge = absl::Hours(24 * 30);

struct KnownFile {
  absl::Time noted;
  std::string path;
};

std::vector<std::string> PathsIn(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    paths.push_back(it->path().string());
  return paths;
}

// Newest first.
std::vector<KnownFile> FilesIn(const std::string& directory) {
  std::vector<KnownFile> files;
  for (std::string& path : PathsIn(directory)) {
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0) files.push_back({absl::TimeFromTimespec(info.st_mtim), std::move(path)});
  }
  std::ranges::sort(files, std::greater<>(), &KnownFile::noted);
  return files;
}

absl::Status Write(const std::string& directory, const std::string& key, const KnownEnvironment& known) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(directory));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(directory, "/", key), known.SerializeAsString()));
  const std::vector<KnownFile> files = FilesIn(directory);
  for (std::size_t i = kMostOfProject; i < files.size(); ++i) unlink(files[i].path.c_str());
  return absl::OkStatus();
}

}  // namespace

History::History(const std::string& environments_dir) : directory_(absl::StrCat(environments_dir, "/", kKnown)) {}

std::string History::DirectoryOf(const Project& project) const {
  if (!IsUuid(project.owner_uid) || !IsUuid(project.project_uid)) return "";
  return absl::StrCat(directory_, "/", project.owner_uid, "/", project.project_uid);
}

void History::Note(const Project& project, const std::string& key, const std::function<KnownEnvironment()>& describe) {
  const std::string directory = DirectoryOf(project);
  if (directory.empty()) return;
  {
    MutexLock lock(mu_);
    if (last_.size() >= kMostProjects) last_.clear();
    if (std::exchange(last_[directory], key) == key) return;
  }
  if (const absl::Status written = Write(directory, key, describe()); !written.ok())
    LogWarning("environment_not_remembered", {{"key", key}, {"error", std::string(written.message())}});
}

void History::NoteMissing(const Project& project, const std::string& key) {
  MutexLock lock(mu_);
  const auto it = last_.find(DirectoryOf(project));
  if (it != last_.end() && it->second == key) last_.erase(it);
}

std::optional<UsedBefore> History::Find(const Project& project, const std::string& key) const {
  const std::string directory = DirectoryOf(project);
  if (directory.empty() || !IsKey(key)) return std::nullopt;
  const auto text = ReadFile(absl::StrCat(directory, "/", key), kMaxKnownBytes);
  UsedBefore used{.key = key, .environment = {}};
  if (!text.ok() || !used.environment.ParseFromString(*text)) return std::nullopt;
  return used;
}

std::optional<UsedBefore> History::Last(const Project& project) const {
  const std::string directory = DirectoryOf(project);
  if (directory.empty()) return std::nullopt;
  std::string key;
  {
    MutexLock lock(mu_);
    if (const auto it = last_.find(directory); it != last_.end()) key = it->second;
  }
  if (auto used = Find(project, key)) return used;
  for (const KnownFile& file : FilesIn(directory))
    if (auto used = Find(project, fs::path(file.path).filename().string())) return used;
  return std::nullopt;
}

void History::Forget(absl::Time now) const {
  for (const std::string& owner : PathsIn(directory_)) {
    for (const std::string& project : PathsIn(owner)) {
      for (const KnownFile& file : FilesIn(project))
        if (file.noted < now - kKnownAge) unlink(file.path.c_str());
      rmdir(project.c_str());  // fails while it holds something
    }
    rmdir(owner.c_str());
  }
}

}  // namespace riseml::builder
