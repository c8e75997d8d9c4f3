#include "services/supervisor/install/layout.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {
namespace {

constexpr absl::string_view kSubdirectories[] = {"certs", "config", "data", "environments", "log-store", "logs",
                                                 "node",  "output", "run",  "repositories", "secrets"};

std::string DefaultDirectory() {
  const char* named = std::getenv("RISEML_DIR");
  if (named != nullptr && *named != '\0') return named;
  if (geteuid() == 0) return "/var/lib/riseml";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return absl::StrCat(home, "/.riseml/local");
  return "";
}

bool IsEmpty(const std::string& dir) {
  std::error_code error;
  return std::filesystem::is_empty(dir, error) && !error;
}

}  // namespace

absl::StatusOr<uid_t> AccountOf(const Layout& layout) {
  struct stat info {};
  if (stat(layout.home.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", layout.dir));
  return info.st_uid;
}

absl::Status ResolveDirectory(const std::string& given, std::string* dir) {
  const std::string chosen = given.empty() ? DefaultDirectory() : given;
  if (chosen.empty()) return Error(Reason::kInvalidArgument, "HOME is not set; name a directory with --dir");
  std::error_code error;
  *dir = std::filesystem::weakly_canonical(std::filesystem::absolute(chosen, error), error).string();
  if (error) return ErrnoError(error.value(), absl::StrCat("resolve the directory ", chosen));
  while (dir->size() > 1 && dir->back() == '/') dir->pop_back();
  if (dir->find_first_of("\n\t'\"\\") != std::string::npos)
    return Error(Reason::kInvalidArgument,
                 "the directory's path holds a quote, a backslash or a line break; choose another one");
  return absl::OkStatus();
}

absl::Status PrepareDirectory(const std::string& dir) {
  struct stat info = {};
  if (stat(dir.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) return Error(Reason::kInvalidArgument, absl::StrCat(dir, " is no directory"));
    if (geteuid() != 0 && info.st_uid != geteuid())
      return Error(Reason::kPermissionDenied,
                   absl::StrCat(dir, " belongs to another user; run `riseml up` as that user, or name another --dir"));
    if (!FileExists(dir + "/FORMAT") && !IsEmpty(dir))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(dir, " is not empty and holds no RiseML installation; name a new or empty directory"));
  } else {
    // Parent directories get the usual mode, since the account of the services has to pass through them.
    const mode_t before = umask(022);
    const absl::Status parents = MakeDirectories(std::filesystem::path(dir).parent_path().string());
    umask(before);
    RISEML_RETURN_IF_ERROR(While("make the installation's directory", parents));
    if (mkdir(dir.c_str(), 0700) != 0)
      return ErrnoError(errno, absl::StrCat("make the installation's directory ", dir));
  }
  RISEML_RETURN_IF_ERROR(CheckFormat(dir, "the RiseML installation", kFormatVersion));
  RISEML_RETURN_IF_ERROR(MakeDirectories(dir + "/run", 0700));
  return MakeDirectories(dir + "/logs", 0700);
}

absl::Status RequireInstallation(const std::string& dir) {
  struct stat info {};
  if (stat(dir.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && access(dir.c_str(), R_OK | X_OK) != 0)
    return Error(Reason::kPermissionDenied,
                 absl::StrCat(dir, " cannot be read: it belongs to another user, who alone may do this"));
  if (!FileExists(dir + "/FORMAT"))
    return Error(Reason::kNotFound,
                 absl::StrCat("no RiseML installation in ", dir, "; `riseml up --dir ", dir, "` makes one"));
  return CheckFormat(dir, "the RiseML installation", kFormatVersion);
}

absl::Status MakeSubdirectories(const Layout& layout) {
  for (absl::string_view name : kSubdirectories) RISEML_RETURN_IF_ERROR(MakeDirectories(layout.In(name), 0700));
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
