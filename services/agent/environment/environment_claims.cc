#include "services/agent/environment/environment_claims.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr char kComplete[] = "/.riseml-complete";
// No build can write to this directory: a build must not decide which directories are removed.
constexpr char kClaims[] = "/.builders";
constexpr std::int64_t kMaxClaimBytes = 4096;
constexpr std::int64_t kMaxMarkerBytes = 4096;

}  // namespace

absl::Status LinkToSealed(const std::string& path) {
  const std::string target = absl::StrCat("../", std::filesystem::path(path).filename().string());
  std::error_code error;
  if (std::filesystem::read_symlink(path, error) == target) return absl::OkStatus();
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, absl::StrCat("replace ", path));
  if (symlink(target.c_str(), path.c_str()) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("make the link ", path));
  return absl::OkStatus();
}

EnvironmentClaims::EnvironmentClaims(std::string environments) : environments_(std::move(environments)) {
  if (environments_.empty()) return;
  if (const absl::Status made = MakeDirectories(environments_ + kClaims, 0700); !made.ok())
    LogWarning("claims_not_kept", {{"error", std::string(made.message())}});
  trash_ = std::make_unique<Trash>(environments_);
}

// Path of the claim. Its name is the path below the directory of all environments, with "." instead of "/".
std::string EnvironmentClaims::ClaimOf(const std::string& path) const {
  const std::string below = std::filesystem::path(path).lexically_relative(environments_).string();
  return absl::StrCat(environments_, kClaims, "/", absl::StrReplaceAll(below, {{"/", "."}}));
}

// The user is the first component of the path below the directory of all environments.
std::string EnvironmentClaims::UserOf(const std::string& path) const {
  return std::filesystem::path(path).lexically_relative(environments_).begin()->string();
}

absl::Status EnvironmentClaims::Claim(const std::string& path, const std::string& owner) {
  MutexLock lock(mu_);
  RISEML_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path().string()));
  RISEML_RETURN_IF_ERROR(MakePlainDirectory(path));
  return WriteFileAtomically(ClaimOf(path), owner);
}

absl::Status EnvironmentClaims::Settle(const std::string& path, const std::string& owner, bool succeeded) {
  MutexLock lock(mu_);
  const absl::StatusOr<std::string> claimed = ReadPlainFile(ClaimOf(path), kMaxClaimBytes);
  if (!claimed.ok() || *claimed != owner) return absl::OkStatus();
  const bool complete = succeeded && ReadPlainFile(path + kComplete, kMaxMarkerBytes).ok();
  RISEML_RETURN_IF_ERROR(complete ? Seal(path) : trash_->Take(path, UserOf(path)));
  if (unlink(ClaimOf(path).c_str()) != 0 && errno != ENOENT)
    return ErrnoError(errno, absl::StrCat("remove ", ClaimOf(path)));
  return absl::OkStatus();
}

// May be called again after an interruption.
absl::Status EnvironmentClaims::Seal(const std::string& path) {
  const std::optional<std::string> sealed = SealedPathOf(path);
  if (!sealed) return absl::OkStatus();
  struct stat info {};
  const bool moved = lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode);
  if (!moved && std::rename(path.c_str(), sealed->c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return ErrnoError(errno, absl::StrCat("rename ", path));
    RISEML_RETURN_IF_ERROR(trash_->Take(path, UserOf(path)));  // another build was faster
  }
  return LinkToSealed(path);
}

}  // namespace riseml::agent
