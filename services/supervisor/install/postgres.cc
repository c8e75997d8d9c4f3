#include "services/supervisor/install/postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/process/process.h"

namespace riseml::supervisor {
namespace {

constexpr char kPrograms[] = "/usr/lib/postgresql/15/bin";
constexpr std::size_t kStatusLine = 7;  // of postmaster.pid, from 0

std::string PidFile(const Layout& layout) { return layout.Database() + "/postmaster.pid"; }

std::vector<std::string> LinesOf(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 64 << 10);
  if (!text.ok()) return {};
  return absl::StrSplit(*text, '\n');
}

int PidIn(const std::vector<std::string>& lines) {
  int pid = 0;
  return !lines.empty() && absl::SimpleAtoi(absl::StripAsciiWhitespace(lines[0]), &pid) && pid > 0 ? pid : 0;
}

// True if the process works in `dir`, as all processes of PostgreSQL work in the data directory.
bool WorksIn(int pid, const std::string& dir) {
  struct stat cwd = {}, wanted = {};
  return stat(absl::StrCat("/proc/", pid, "/cwd").c_str(), &cwd) == 0 && stat(dir.c_str(), &wanted) == 0 &&
         cwd.st_dev == wanted.st_dev && cwd.st_ino == wanted.st_ino && riseml::Identify(pid).ok();
}

bool AnyoneWorksIn(const std::string& dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int pid = 0;
    if (absl::SimpleAtoi(entry.path().filename().string(), &pid) && WorksIn(pid, dir)) return true;
  }
  return false;
}

absl::Status Check(absl::string_view doing, const absl::StatusOr<RunResult>& result) {
  RISEML_RETURN_IF_ERROR(While(doing, result.status()));
  if (result->exit_code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(doing, ": exit code ", result->exit_code, ": ", result->output));
}

}  // namespace

absl::StatusOr<std::string> FindPostgres() {
  if (access(absl::StrCat(kPrograms, "/postgres").c_str(), X_OK) == 0 &&
      access(absl::StrCat(kPrograms, "/initdb").c_str(), X_OK) == 0)
    return std::string(kPrograms);
  return absl::FailedPreconditionError(absl::StrCat("PostgreSQL 15 is not installed (no ", kPrograms,
                                                    "/postgres); install it: apt-get install postgresql-15"));
}

bool HasCluster(const Layout& layout) { return FileExists(layout.Database() + "/PG_VERSION"); }

absl::Status EnsureCluster(const Layout& layout, const std::string& postgres_bin) {
  if (HasCluster(layout)) return absl::OkStatus();
  const std::string making = layout.In("postgres.making");
  std::error_code error;
  std::filesystem::remove_all(making, error);
  if (error) return ErrnoError(error.value(), absl::StrCat("remove ", making));
  // Everything is written to disk at once at the end: writing a thousand small files one by one takes seconds.
  RISEML_RETURN_IF_ERROR(Check("make the database cluster",
                               RunAndWait({postgres_bin + "/initdb", "-D", making, "-U", "riseml", "-A", "trust",
                                           "--no-locale", "-E", "UTF8", "--no-sync", "--no-instructions"})));
  RISEML_RETURN_IF_ERROR(Check("make the database", RunAndWait({postgres_bin + "/postgres", "--single", "-D", making,
                                                                "-F", "-c", "exit_on_error=on", "template1"},
                                                               "CREATE DATABASE riseml STRATEGY file_copy;\n")));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd dir, OpenFile(making, O_RDONLY | O_DIRECTORY));
  if (syncfs(dir.get()) != 0) return ErrnoError(errno, absl::StrCat("write ", making, " to disk"));
  if (rename(making.c_str(), layout.Database().c_str()) != 0)
    return ErrnoError(errno, absl::StrCat("rename ", making, " to ", layout.Database()));
  return SyncDirectory(layout.home);
}

std::vector<std::string> PostgresCommand(const Layout& layout, const std::string& postgres_bin,
                                         const config::v1::SupervisorState& state) {
  std::vector<std::string> argv = {postgres_bin + "/postgres", "-D", layout.Database()};
  const std::string settings[] = {
      "listen_addresses=", absl::StrCat("unix_socket_directories=", state.postgres_socket_dir()),
      "unix_socket_permissions=0700", absl::StrCat("port=", state.postgres_port()), "shared_buffers=64MB",
      "max_connections=100", "timezone=UTC", "log_timezone=UTC", "log_line_prefix=%m [%p] ",
      // Shared memory is not in /dev/shm: containers make that small, and log-in managers empty it when a user logs
      // out.
      "dynamic_shared_memory_type=mmap"};
  for (const std::string& setting : settings) {
    argv.push_back("-c");
    argv.push_back(setting);
  }
  return argv;
}

int ReadyPostgresPid(const Layout& layout) {
  const std::vector<std::string> lines = LinesOf(PidFile(layout));
  return lines.size() > kStatusLine && absl::StartsWith(lines[kStatusLine], "ready") ? PidIn(lines) : 0;
}

int LivingPostgresPid(const Layout& layout) {
  const int pid = PidIn(LinesOf(PidFile(layout)));
  return pid > 0 && WorksIn(pid, layout.Database()) ? pid : 0;
}

absl::Status RemoveStaleLocks(const Layout& layout, const config::v1::SupervisorState& state) {
  if (AnyoneWorksIn(layout.Database())) return absl::OkStatus();
  const std::string socket_lock =
      absl::StrCat(state.postgres_socket_dir(), "/.s.PGSQL.", state.postgres_port(), ".lock");
  for (const std::string& path : {PidFile(layout), socket_lock}) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, absl::StrCat("remove ", path));
  }
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
