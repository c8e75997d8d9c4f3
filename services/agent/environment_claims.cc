#include "services/agent/environment_claims.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr char kComplete[] = "/.riseml-complete";

// Beside the environment, since making it anew empties its directory.
std::string DirectoryOfClaims(const std::string& path) { return path.substr(0, path.rfind('/')) + "/.builders"; }

std::string ClaimOf(const std::string& path) { return DirectoryOfClaims(path) + path.substr(path.rfind('/')); }

}  // namespace

absl::Status EnvironmentClaims::Claim(const std::string& path, const std::string& owner) {
  MutexLock lock(mu_);
  RISEML_RETURN_IF_ERROR(MakeDirectories(path));
  RISEML_RETURN_IF_ERROR(MakeDirectories(DirectoryOfClaims(path)));
  return WriteFileAtomically(ClaimOf(path), owner);
}

absl::Status EnvironmentClaims::Discard(const std::string& path, const std::string& owner) {
  const std::string removed = absl::StrCat(path.substr(0, path.rfind('/')), "/.removed-", NewUuid());
  {
    MutexLock lock(mu_);
    const absl::StatusOr<std::string> claimed = ReadFile(ClaimOf(path), 4096);
    if (!claimed.ok() || *claimed != owner) return absl::OkStatus();
    if (!FileExists(path + kComplete) && std::rename(path.c_str(), removed.c_str()) != 0 && errno != ENOENT)
      return ErrnoError(errno, absl::StrCat("rename ", path));
    if (unlink(ClaimOf(path).c_str()) != 0 && errno != ENOENT)
      return ErrnoError(errno, absl::StrCat("remove ", ClaimOf(path)));
  }
  return RemoveTree(removed);
}

}  // namespace riseml::agent
