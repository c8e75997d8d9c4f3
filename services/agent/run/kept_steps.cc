#include "services/agent/run/kept_steps.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using internal::v1::KeptSteps;

constexpr int kKeptFormat = 1;
constexpr std::size_t kMaxDescriptionBytes = 15 << 20;  // ReadMessage reads 16 MiB
constexpr char kDescription[] = "/kept.pb";
constexpr char kLock[] = "/lock";  // its modification time is the time of the last use
constexpr char kBeingMade[] = ".new-";
constexpr char kBeingRemoved[] = ".removed-";
// Longest time between creating the directory of an entry and creating its lock.
constexpr absl::Duration kUnlockedTime = absl::Hours(1);

absl::Time ChangedAt(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 ? absl::TimeFromTimespec(info.st_mtim) : absl::InfinitePast();
}

// Takes the lock until the descriptor is closed. `how` is LOCK_SH or LOCK_EX. FAILED_PRECONDITION if another process
// holds it.
absl::StatusOr<UniqueFd> TakeLock(const std::string& entry, int how) {
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(entry + kLock, O_RDWR | O_NOFOLLOW | O_NONBLOCK));
  if (flock(fd.get(), how | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? absl::FailedPreconditionError("in use") : ErrnoError(errno, "lock");
  return fd;
}

// True if the lock belongs to the entry that has this name now.
bool IsLockOf(const UniqueFd& lock, const std::string& entry) {
  struct stat held {
  }, there{};
  return fstat(lock.get(), &held) == 0 && lstat((entry + kLock).c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

// A directory with a path that always refers to it, even if jobs replace its own name.
class PinnedDirectory {
 public:
  static absl::StatusOr<PinnedDirectory> Open(const std::string& directory) {
    RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return PinnedDirectory(std::move(fd));
  }
  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_.get()); }

 private:
  explicit PinnedDirectory(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Renames an entry, so that it is not found any more. Returns its new name; empty if there is no entry.
absl::StatusOr<std::string> SetAside(const std::string& directory, const std::string& name) {
  const std::string aside = absl::StrCat(kBeingRemoved, NewUuid());
  if (std::rename(absl::StrCat(directory, "/", name).c_str(), absl::StrCat(directory, "/", aside).c_str()) == 0)
    return aside;
  return errno == ENOENT ? absl::StatusOr<std::string>("") : ErrnoError(errno, absl::StrCat("rename ", name));
}

// Removes an entry unless it is held, since a reader would not notice missing files.
absl::Status RemoveUnheld(const std::string& directory, const std::string& name) {
  const absl::StatusOr<UniqueFd> lock = TakeLock(absl::StrCat(directory, "/", name), LOCK_EX);
  if (lock.status().code() == absl::StatusCode::kFailedPrecondition) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const std::string aside, SetAside(directory, name));
  return aside.empty() ? absl::OkStatus() : RemoveTree(absl::StrCat(directory, "/", aside));
}

// True for an entry that an interrupted build or removal has left.
bool IsLeftover(const std::string& directory, const std::string& name, absl::Time now) {
  if (absl::StartsWith(name, kBeingRemoved)) return true;
  const std::string path = absl::StrCat(directory, "/", name);
  return absl::StartsWith(name, kBeingMade) && (FileExists(path + kLock) || ChangedAt(path) < now - kUnlockedTime);
}

absl::StatusOr<std::vector<std::string>> NamesBelow(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  if (error) return ErrnoError(error.value(), "list what steps of earlier builds made");
  return names;
}

}  // namespace

bool IsStepKey(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

absl::StatusOr<NewKeptSteps> NewKeptSteps::Create(const std::string& directory) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  NewKeptSteps made(directory, absl::StrCat(directory, "/", kBeingMade, NewUuid()));
  if (mkdir(made.path_.c_str(), 0700) != 0) return ErrnoError(errno, absl::StrCat("mkdir ", made.path_));
  { RISEML_RETURN_IF_ERROR(OpenFile(made.path_ + kLock, O_WRONLY | O_CREAT | O_EXCL, 0600).status()); }
  RISEML_ASSIGN_OR_RETURN(made.lock_, TakeLock(made.path_, LOCK_EX));
  for (const char* part : {kKeptEnvironment, kKeptCode, kKeptTemporary})
    if (mkdir((made.path_ + part).c_str(), 0700) != 0) return ErrnoError(errno, absl::StrCat("mkdir ", part));
  return made;
}

NewKeptSteps::~NewKeptSteps() {
  if (path_.empty()) return;
  if (const absl::Status removed = RemoveTree(path_); !removed.ok())
    LogWarning("leftover", {{"path", path_}, {"error", std::string(removed.message())}});
}

absl::Status NewKeptSteps::Publish(const KeptSteps& description, const std::string& key) {
  KeptSteps whole = description;
  whole.set_format(kKeptFormat);
  if (whole.ByteSizeLong() > kMaxDescriptionBytes)
    return Error(Reason::kLimitExceeded, "too many of their files name the environment's directory");
  RISEML_RETURN_IF_ERROR(WriteMessage(path_ + kDescription, whole));
  // Writes everything to the disk, so that an entry survives a power failure completely.
  if (syncfs(lock_.get()) != 0) return ErrnoError(errno, "write what the steps made to the disk");
  if (std::rename(path_.c_str(), absl::StrCat(directory_, "/", key).c_str()) == 0) {
    path_.clear();
    return absl::OkStatus();
  }
  return errno == EEXIST || errno == ENOTEMPTY ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("rename to ", key));
}

bool HasKeptSteps(const std::string& directory, const std::string& key) {
  return FileExists(absl::StrCat(directory, "/", key, kDescription));
}

absl::StatusOr<HeldKeptSteps> HoldKeptSteps(const std::string& directory, const std::string& key, absl::Time now) {
  HeldKeptSteps held{.path = absl::StrCat(directory, "/", key), .description = {}, .lock = {}};
  RISEML_ASSIGN_OR_RETURN(held.lock, TakeLock(held.path, LOCK_SH));
  if (!IsLockOf(held.lock, held.path)) return Error(Reason::kNotFound, "it is being removed");
  const timespec used = absl::ToTimespec(now);
  const timespec times[] = {used, used};
  futimens(held.lock.get(), times);  // a failure at worst makes the entry expire too early
  RISEML_ASSIGN_OR_RETURN(held.description, ReadMessage<KeptSteps>(held.path + kDescription));
  if (held.description.format() != kKeptFormat)
    return Error(Reason::kNotFound, "another version of RiseML has kept it");
  return held;
}

absl::Status RemoveKeptSteps(const std::string& directory, const std::string& key) {
  RISEML_ASSIGN_OR_RETURN(const std::string aside, SetAside(directory, key));
  return aside.empty() ? absl::OkStatus() : RemoveUnheld(directory, aside);
}

std::vector<std::string> BeyondLimits(std::vector<KeptEntry> entries, const KeptLimits& limits, absl::Time now) {
  std::ranges::sort(entries, {}, &KeptEntry::used);
  std::int64_t total = 0;
  for (const KeptEntry& entry : entries) total += entry.bytes;
  std::vector<std::string> keys;
  for (const KeptEntry& entry : entries) {
    if (total <= limits.bytes && entry.used >= now - limits.age) continue;
    total -= entry.bytes;
    keys.push_back(entry.key);
  }
  return keys;
}

absl::Status TrimKeptSteps(const std::string& directory, const KeptLimits& limits, absl::Time now) {
  const absl::StatusOr<PinnedDirectory> pinned = PinnedDirectory::Open(directory);
  if (HasReason(pinned.status(), Reason::kNotFound)) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(pinned.status());
  const std::string path = pinned->path();
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesBelow(path + "/."));
  std::vector<KeptEntry> entries;
  for (const std::string& name : names) {
    const std::string entry = absl::StrCat(path, "/", name);
    if (IsLeftover(path, name, now)) RISEML_RETURN_IF_ERROR(RemoveUnheld(path, name));
    if (!IsStepKey(name)) continue;
    const absl::StatusOr<KeptSteps> description = ReadMessage<KeptSteps>(entry + kDescription);
    if (description.ok() && description->format() == kKeptFormat)
      entries.push_back({name, std::max<std::int64_t>(description->bytes(), 0), ChangedAt(entry + kLock)});
    else
      RISEML_RETURN_IF_ERROR(RemoveUnheld(path, name));
  }
  for (const std::string& key : BeyondLimits(std::move(entries), limits, now))
    RISEML_RETURN_IF_ERROR(RemoveUnheld(path, key));
  return absl::OkStatus();
}

}  // namespace riseml::agent
