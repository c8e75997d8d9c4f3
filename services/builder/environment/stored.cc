#include "services/builder/environment/stored.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/builder/environment/plan.h"
#include "services/builder/environment/sha256.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

namespace fs = std::filesystem;

constexpr char kPointers[] = ".newest";
constexpr char kRemoved[] = ".removed-";
constexpr std::int64_t kMaxMarkerBytes = 4096;

// Nanoseconds since 1970; nullopt when there is no such file.
std::optional<std::int64_t> ChangeTime(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// False for a link to a directory.
bool IsDirectory(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Names of the packages that are installed, with versions, e.g. "six-1.16.0.dist-info".
std::set<std::string> PackagesIn(const std::string& environment) {
  std::set<std::string> packages;
  std::error_code error;
  for (fs::directory_iterator lib(environment + "/lib", error), end; !error && lib != end; lib.increment(error)) {
    const std::string site = lib->path().string() + "/site-packages";
    std::error_code none;
    for (fs::directory_iterator it(site, none), last; !none && it != last; it.increment(none))
      if (const std::string name = it->path().filename().string();
          absl::EndsWith(name, ".dist-info") || absl::EndsWith(name, ".egg-info"))
        packages.insert(name);
  }
  return packages;
}

}  // namespace

bool IsKey(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

std::string StoredEnvironments::PathOf(absl::string_view owner_uid, absl::string_view key) const {
  return PathOfEnvironment(directory_, owner_uid, key);
}

std::vector<std::string> StoredEnvironments::Owners() const {
  std::vector<std::string> owners;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error))
    if (std::string name = it->path().filename().string(); IsUuid(name)) owners.push_back(std::move(name));
  return owners;
}

std::string StoredEnvironments::FindSealed(absl::string_view key) const {
  for (const std::string& owner : Owners())
    if (const auto sealed = SealedPathOf(PathOf(owner, key)); IsDirectory(*sealed)) return *sealed;
  return "";
}

std::string StoredEnvironments::Find(absl::string_view key) const {
  if (std::string sealed = FindSealed(key); !sealed.empty()) return sealed;
  for (const std::string& owner : Owners())
    if (std::string path = PathOf(owner, key); IsDirectory(path)) return path;
  return "";
}

std::string StoredEnvironments::PointerOf(absl::string_view base) const {
  return absl::StrCat(directory_, "/", kPointers, "/", base);
}

bool StoredEnvironments::IsComplete(absl::string_view key) const {
  const std::string path = FindSealed(key);
  if (path.empty()) return false;
  const auto marker = ReadPlainFile(absl::StrCat(path, "/", kMarkerName), kMaxMarkerBytes);
  return marker.ok() && *marker == MarkerOf(key);
}

std::string StoredEnvironments::DigestOf(const std::string& key) {
  const std::string path = Find(key);
  const std::optional<std::int64_t> sealed = path.empty() ? std::nullopt : SealedTime(key);
  if (!sealed) return "";
  {
    MutexLock lock(mu_);
    if (const auto known = digests_.find({key, *sealed}); known != digests_.end()) return known->second;
  }
  std::string text;
  AddField(text, "key", key);
  for (const std::string& package : PackagesIn(path)) AddField(text, "package", package);
  std::string digest = Sha256Hex(text);
  MutexLock lock(mu_);
  digests_[{key, *sealed}] = digest;
  return digest;
}

std::string StoredEnvironments::BuilderOf(absl::string_view key) const {
  const auto job = ReadPlainFile(absl::StrCat(Find(key), "/", kBuiltByName), kMaxMarkerBytes);
  const bool is_name = job.ok() && job->size() <= 64 && std::ranges::all_of(*job, [](unsigned char c) {
                         return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
                       });
  return is_name ? *job : "";
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
  MutexLock lock(mu_);
  const std::string now = NewestOf(base);
  if (now == key || SealedTime(now) > SealedTime(key)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(MakeDirectories(absl::StrCat(directory_, "/", kPointers)));
  return WriteFileAtomically(PointerOf(base), key);
}

std::string StoredEnvironments::NewestOf(absl::string_view base) const {
  const auto pointer = ReadFile(PointerOf(base), 4096);
  // The base is newer if it was removed and built again while a rebuild ran.
  if (pointer.ok() && IsKey(*pointer) && IsComplete(*pointer) && SealedTime(*pointer) >= SealedTime(base))
    return *pointer;
  return std::string(base);
}

std::optional<std::int64_t> StoredEnvironments::SealedTime(absl::string_view key) const {
  return ChangeTime(absl::StrCat(Find(key), "/", kMarkerName));
}

absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> StoredEnvironments::List() {
  std::set<std::string> keys;
  for (const std::string& owner : Owners()) {
    for (const std::string& place :
         {absl::StrCat(directory_, "/", owner), absl::StrCat(directory_, "/", owner, "/", kWorkName)}) {
      std::error_code error;
      for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error))
        if (std::string name = it->path().filename().string(); IsKey(name)) keys.insert(std::move(name));
      if (error && error != std::errc::no_such_file_or_directory)
        return ErrnoError(error.value(), absl::StrCat("list ", place));
    }
  }
  std::vector<internal::v1::StoredEnvironment> out;
  for (const std::string& key : keys)
    if (auto environment = Look(key)) out.push_back(*std::move(environment));
  return out;
}

std::optional<internal::v1::StoredEnvironment> StoredEnvironments::Look(const std::string& key) {
  internal::v1::StoredEnvironment environment;
  environment.set_key(key);
  environment.set_complete(IsComplete(key));
  const std::string path = Find(key);
  const std::optional<std::int64_t> time =
      ChangeTime(environment.complete() ? absl::StrCat(path, "/", kMarkerName) : path);
  if (path.empty() || !time) return std::nullopt;
  environment.mutable_change_time()->set_seconds(*time / 1'000'000'000);
  environment.mutable_change_time()->set_nanos(static_cast<std::int32_t>(*time % 1'000'000'000));
  std::optional<std::int64_t> bytes;
  if (environment.complete()) {
    environment.set_digest(DigestOf(key));
    MutexLock lock(mu_);
    if (const auto known = sizes_.find({key, *time}); known != sizes_.end()) bytes = known->second;
  }
  environment.set_bytes(bytes ? *bytes : DiskBytesBelow(path));
  MutexLock lock(mu_);
  if (environment.complete()) sizes_[{key, *time}] = environment.bytes();
  return environment;
}

absl::Status StoredEnvironments::Remove(const std::string& key) {
  if (!IsKey(key)) return Error(Reason::kInvalidArgument, "key must be 64 hex digits");
  const std::string removed = absl::StrCat(directory_, "/", kRemoved, NewUuid());
  const std::string path = Find(key);
  if (path.empty()) return absl::OkStatus();
  // Removes the link that a complete environment has at its path; a directory stays.
  for (const std::string& owner : Owners()) unlink(PathOf(owner, key).c_str());
  if (std::rename(path.c_str(), removed.c_str()) != 0)
    return errno == ENOENT ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("rename ", path));
  {
    MutexLock lock(mu_);
    std::erase_if(sizes_, [&](const auto& known) { return known.first.first == key; });
    std::erase_if(digests_, [&](const auto& known) { return known.first.first == key; });
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
