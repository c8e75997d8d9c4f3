#include "services/builder/stored.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/builder/plan.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

namespace fs = std::filesystem;

constexpr char kPointers[] = ".newest";
constexpr char kRemoved[] = ".removed-";

bool IsKey(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

// Nanoseconds since 1970; nullopt when there is no such file.
std::optional<std::int64_t> ChangeTime(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// Bytes on the disk of everything below a directory; what cannot be read does not count.
std::int64_t BytesBelow(const std::string& path) {
  std::set<std::pair<dev_t, ino_t>> counted;
  std::int64_t bytes = 0;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(path, options, error), end; !error && it != end; it.increment(error)) {
    struct stat info {};
    if (lstat(it->path().c_str(), &info) != 0) continue;
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !counted.emplace(info.st_dev, info.st_ino).second) continue;
    bytes += info.st_blocks * 512;
  }
  return bytes;
}

}  // namespace

std::string StoredEnvironments::PathOf(absl::string_view owner_uid, absl::string_view key) const {
  return absl::StrCat(directory_, "/", owner_uid, "/", key);
}

std::vector<std::string> StoredEnvironments::Owners() const {
  std::vector<std::string> owners;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error))
    if (std::string name = it->path().filename().string(); IsUuid(name)) owners.push_back(std::move(name));
  return owners;
}

std::string StoredEnvironments::Find(absl::string_view key) const {
  for (const std::string& owner : Owners())
    if (std::string path = PathOf(owner, key); FileExists(path)) return path;
  return "";
}

std::string StoredEnvironments::PointerOf(absl::string_view base) const {
  return absl::StrCat(directory_, "/", kPointers, "/", base);
}

bool StoredEnvironments::IsComplete(absl::string_view key) const {
  const std::string path = Find(key);
  if (path.empty()) return false;
  const auto marker = ReadFile(absl::StrCat(path, "/", kMarkerName), 4096);
  return marker.ok() && *marker == MarkerOf(key);
}

absl::Status StoredEnvironments::Sweep() {
  std::vector<std::string> leftovers;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error))
    if (absl::StartsWith(it->path().filename().string(), kRemoved)) leftovers.push_back(it->path().string());
  for (const std::string& path : leftovers) RISEML_RETURN_IF_ERROR(RemoveTree(path));
  return absl::OkStatus();
}

absl::Status StoredEnvironments::SetNewest(absl::string_view base, absl::string_view key) {
  const std::string marker = absl::StrCat("/", kMarkerName);
  MutexLock lock(mu_);
  const std::string now = NewestOf(base);
  if (now == key) return absl::OkStatus();
  if (now != base && ChangeTime(Find(now) + marker) > ChangeTime(Find(key) + marker)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(MakeDirectories(absl::StrCat(directory_, "/", kPointers)));
  return WriteFileAtomically(PointerOf(base), key);
}

std::string StoredEnvironments::NewestOf(absl::string_view base) const {
  const auto pointer = ReadFile(PointerOf(base), 4096);
  if (pointer.ok() && IsKey(*pointer) && IsComplete(*pointer)) return *pointer;
  return std::string(base);
}

absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> StoredEnvironments::List() {
  std::vector<std::string> keys;
  std::error_code error;
  for (const std::string& owner : Owners()) {
    for (fs::directory_iterator it(absl::StrCat(directory_, "/", owner), error), end; !error && it != end;
         it.increment(error))
      if (std::string name = it->path().filename().string(); IsKey(name)) keys.push_back(std::move(name));
    if (error) return ErrnoError(error.value(), absl::StrCat("list ", directory_, "/", owner));
  }
  std::ranges::sort(keys);
  std::vector<internal::v1::StoredEnvironment> out;
  for (const std::string& key : keys) {
    const std::string path = Find(key);
    internal::v1::StoredEnvironment& environment = out.emplace_back();
    environment.set_key(key);
    environment.set_complete(IsComplete(key));
    const std::int64_t time =
        ChangeTime(environment.complete() ? absl::StrCat(path, "/", kMarkerName) : path).value_or(0);
    environment.mutable_change_time()->set_seconds(time / 1'000'000'000);
    environment.mutable_change_time()->set_nanos(static_cast<std::int32_t>(time % 1'000'000'000));
    std::optional<std::int64_t> bytes;
    {
      MutexLock lock(mu_);
      const auto known = sizes_.find({key, time});
      if (environment.complete() && known != sizes_.end()) bytes = known->second;
    }
    if (!bytes) bytes = BytesBelow(path);
    environment.set_bytes(*bytes);
    MutexLock lock(mu_);
    if (environment.complete()) sizes_[{key, time}] = *bytes;
  }
  return out;
}

absl::Status StoredEnvironments::Remove(const std::string& key) {
  if (!IsKey(key)) return Error(Reason::kInvalidArgument, "key must be 64 hex digits");
  const std::string removed = absl::StrCat(directory_, "/", kRemoved, NewUuid());
  const std::string path = Find(key);
  if (path.empty()) return absl::OkStatus();
  if (std::rename(path.c_str(), removed.c_str()) != 0)
    return errno == ENOENT ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("rename ", path));
  {
    MutexLock lock(mu_);
    std::erase_if(sizes_, [&](const auto& known) { return known.first.first == key; });
  }
  std::vector<std::string> stale;
  std::error_code error;
  for (fs::directory_iterator it(absl::StrCat(directory_, "/", kPointers), error), end; !error && it != end;
       it.increment(error))
    if (const auto pointer = ReadFile(it->path().string(), 4096); pointer.ok() && *pointer == key)
      stale.push_back(it->path().string());
  for (const std::string& path : stale) fs::remove(path, error);
  return RemoveTree(removed);
}

}  // namespace riseml::builder
