#include "services/supervisor/install/programs.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/edge.h"
#include "services/supervisor/install/postgres.h"
#include "services/supervisor/install/services.h"

namespace riseml::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr char kInstalledPython[] = "/usr/share/riseml/python";
constexpr char kCopies[] = "/var/cache/riseml";

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// Copies a file unless size and time show that the copy is current. A running program keeps its old file.
absl::Status CopyFile(const std::string& from, const std::string& to, int mode) {
  const absl::StatusOr<UniqueFd> in = OpenFile(from, O_RDONLY);
  RISEML_RETURN_IF_ERROR(in.status());
  struct stat source = {}, present = {};
  if (fstat(in->get(), &source) != 0) return ErrnoError(errno, absl::StrCat("look at ", from));
  if (stat(to.c_str(), &present) == 0 && SameFile(source, present)) return absl::OkStatus();
  const std::string temporary = absl::StrCat(to, ".new-", getpid());
  RISEML_ASSIGN_OR_RETURN(const UniqueFd out, OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
  for (off_t offset = 0; offset < source.st_size;) {
    const ssize_t n = sendfile(out.get(), in->get(), &offset, source.st_size - offset);
    if (n < 0) return ErrnoError(errno, absl::StrCat("copy ", from, " to ", to));
    if (n == 0) return absl::AbortedError(absl::StrCat(from, " shrank while it was copied; try again"));
  }
  const timespec times[] = {source.st_atim, source.st_mtim};
  if (futimens(out.get(), times) != 0 || fchmod(out.get(), mode) != 0 || rename(temporary.c_str(), to.c_str()) != 0)
    return ErrnoError(errno, absl::StrCat("copy ", from, " to ", to));
  return absl::OkStatus();
}

absl::Status MakeReadableDirectory(const std::string& path) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(path));
  if (chmod(path.c_str(), 0755) != 0) return ErrnoError(errno, absl::StrCat("chmod ", path));
  return absl::OkStatus();
}

absl::Status CopyPython(const std::string& from, const std::string& to) {
  RISEML_RETURN_IF_ERROR(MakeReadableDirectory(to));
  std::error_code error;
  for (fs::recursive_directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    const std::string target = absl::StrCat(to, "/", path.lexically_relative(from).string());
    if (path.filename() == "__pycache__" || path.filename() == "tests") {
      it.disable_recursion_pending();
    } else if (it->is_directory(error)) {
      RISEML_RETURN_IF_ERROR(MakeReadableDirectory(target));
    } else if (it->is_regular_file(error)) {
      RISEML_RETURN_IF_ERROR(CopyFile(path.string(), target, 0644));
    }
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("read ", from));
  return absl::OkStatus();
}

std::set<std::string> ProgramFiles() {
  std::set<std::string> names;
  for (const ServiceInfo& service : kServices) names.emplace(service.program);
  names.emplace("riseml-job");  // started by riseml-agent, which expects it beside itself
  return names;
}

bool CanRunAll(const Account& account, const Programs& programs) {
  for (const std::string& name : ProgramFiles())
    if (!CanAccess(account, absl::StrCat(programs.bin_dir, "/", name), R_OK | X_OK)) return false;
  return CanAccess(account, programs.python_client_dir + "/riseml/__init__.py", R_OK);
}

}  // namespace

absl::StatusOr<Programs> FindPrograms(const std::string& bin_dir) {
  Programs programs;
  std::error_code error;
  const fs::path bin =
      bin_dir.empty() ? fs::read_symlink("/proc/self/exe", error).parent_path() : fs::absolute(bin_dir, error);
  programs.bin_dir = bin.string();
  for (const std::string& name : ProgramFiles()) {
    if (access((bin / name).c_str(), X_OK) != 0)
      return absl::FailedPreconditionError(
          absl::StrCat("no program ", name, " in ", bin.string(), "; build all of RiseML, or install it completely"));
  }
  for (const fs::path& dir : {bin / "../clients/python", bin / "../../clients/python", bin / "../../../clients/python",
                              fs::path(kInstalledPython)}) {
    if (programs.python_client_dir.empty() && fs::exists(dir / "riseml/__init__.py", error))
      programs.python_client_dir = fs::canonical(dir, error).string();
  }
  if (programs.python_client_dir.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("the Python package riseml is neither beside ", bin.string(), " nor in ", kInstalledPython));
  RISEML_ASSIGN_OR_RETURN(programs.postgres_bin, FindPostgres());
  programs.haproxy = FindHaproxy();
  return programs;
}

absl::StatusOr<Programs> MakeReachable(const Programs& programs, const Account& account) {
  if (!account.drop || CanRunAll(account, programs)) return programs;
  Programs copies = programs;
  // The copies are not in the installation's directory, since services must be able to run them but not to replace them
  // or their directory.
  const std::string dir = absl::StrFormat("%s/programs-%08x", kCopies, Crc32c(programs.bin_dir));
  copies.bin_dir = dir + "/bin";
  copies.python_client_dir = dir + "/clients/python";
  for (const std::string& part : {std::string(kCopies), dir, copies.bin_dir, dir + "/clients"})
    RISEML_RETURN_IF_ERROR(MakeReadableDirectory(part));
  for (const std::string& name : ProgramFiles())
    RISEML_RETURN_IF_ERROR(
        CopyFile(absl::StrCat(programs.bin_dir, "/", name), absl::StrCat(copies.bin_dir, "/", name), 0755));
  RISEML_RETURN_IF_ERROR(CopyPython(programs.python_client_dir, copies.python_client_dir));
  return copies;
}

}  // namespace riseml::supervisor
