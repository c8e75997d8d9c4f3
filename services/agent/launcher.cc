#include "services/agent/launcher.h"

#include <fcntl.h>
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
#include "absl/strings/str_split.h"
#include "services/agent/journal.h"
#include "services/agent/process.h"
#include "services/agent/runner.h"
#include "services/agent/ship_main.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using internal::v1::StartAttemptRequest;

constexpr char kDefaultPython[] = "/usr/bin/python3";
constexpr char kConfigCopy[] = "riseml-experiment.yml";
constexpr std::int64_t kMaxSmallFile = 1 << 20;
constexpr std::int64_t kDefaultUnshippedLimit = std::int64_t{4} << 30;

absl::Status MakeDirectory(const std::string& path, int mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", path));
  return absl::OkStatus();
}

absl::Status MakeEmptyFile(const std::string& path, int mode) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  return absl::OkStatus();
}

// Fills a directory under another name and gives it its own only when it is complete.
template <class Fill>
absl::StatusOr<bool> CreateWhole(const std::string& parent, const AttemptId& id, const Fill& fill) {
  const std::string path = absl::StrCat(parent, "/", Print(id));
  if (FileExists(path)) return false;
  const std::string temporary = absl::StrCat(parent, "/.new-", NewUuid());
  absl::Status status = MakeDirectory(temporary, 0700);
  if (status.ok()) status = fill(AttemptDir(temporary));
  if (status.ok()) status = SyncDirectory(temporary);
  bool created = status.ok();
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    created = false;
    // Somebody else was faster.
    if (errno != EEXIST && errno != ENOTEMPTY) status = ErrnoError(errno, absl::StrCat("rename to ", path));
  }
  if (!created) {
    const absl::Status removed = RemoveTree(temporary);
    if (!removed.ok()) LogWarning("leftover", {{"path", temporary}, {"error", std::string(removed.message())}});
  }
  RISEML_RETURN_IF_ERROR(status);
  if (created) RISEML_RETURN_IF_ERROR(SyncDirectory(parent));
  return created;
}

std::vector<std::string> ExtraPaths(const Variables& environment, const std::string& python) {
  std::vector<std::string> paths = InheritedPaths(environment);
  // An interpreter of its own place needs its whole installation: PREFIX/bin/python3.
  std::error_code error;
  const fs::path real = fs::canonical(python, error);
  if (!error && !absl::StartsWith(real.string(), "/usr/")) paths.push_back(real.parent_path().parent_path().string());
  return paths;
}

std::string PythonOf(const config::v1::NodeConfig& config) {
  return config.python().empty() ? kDefaultPython : config.python();
}

absl::Status MakeAccessible(const fs::path& root) {
  std::error_code error;
  fs::permissions(root, fs::perms::owner_all, fs::perm_options::add | fs::perm_options::nofollow, error);
  std::vector<fs::path> open = {root};
  while (!open.empty()) {
    const fs::path directory = open.back();
    open.pop_back();
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
      std::error_code ignored;  // what cannot be changed shows when it cannot be removed
      if (entry.is_symlink(ignored) || !entry.is_directory(ignored)) continue;
      fs::permissions(entry.path(), fs::perms::owner_all, fs::perm_options::add, ignored);
      open.push_back(entry.path());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(MakeAccessible(path));
  fs::remove_all(path, error);
  return error ? ErrnoError(error.value(), absl::StrCat("remove ", path)) : absl::OkStatus();
}

absl::StatusOr<std::string> ChooseIsolation(const std::string& configured, const Variables& environment,
                                            const std::string& python) {
  if (configured == kIsolationNone) return std::string(kIsolationNone);
  if (!configured.empty() && configured != "auto" && configured != kIsolationBubblewrap)
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("isolation must be auto, bubblewrap or none, not ", configured));
  const absl::Status works =
      ProbeSandbox(LookAtSystem(ExtraPaths(environment, python.empty() ? kDefaultPython : python), ""), geteuid() == 0);
  if (works.ok()) return std::string(kIsolationBubblewrap);
  if (configured == kIsolationBubblewrap)
    return absl::FailedPreconditionError(
        absl::StrCat("isolation: bubblewrap was asked for: ", std::string(works.message()),
                     " Use isolation: none to run jobs unprotected"));
  LogWarning("jobs_not_isolated", {{"why", std::string(works.message())}});
  return std::string(kIsolationNone);
}

Launcher::Launcher(LauncherOptions options, CodeSource& code)
    : options_(std::move(options)),
      code_(code),
      system_(LookAtSystem(ExtraPaths(options_.environment, PythonOf(options_.config)),
                           options_.config.installation_dir())) {}

absl::StatusOr<bool> Launcher::CreateAttempt(const std::string& parent, const AttemptId& id,
                                             const StartAttemptRequest& start) {
  return CreateWhole(parent, id, [&start](const AttemptDir& dir) -> absl::Status {
    RISEML_RETURN_IF_ERROR(MakeDirectory(dir.control(), 0700));
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(dir.token(), start.token(), 0400));
    for (const std::string& path : {dir.journal(), dir.results()}) RISEML_RETURN_IF_ERROR(MakeEmptyFile(path, 0600));
    RISEML_RETURN_IF_ERROR(MakeEmptyFile(dir.log(), 0600));
    return WriteMessage(dir.start(), start);
  });
}

absl::StatusOr<bool> Launcher::CreateTombstone(const std::string& parent, const AttemptId& id,
                                               const internal::v1::AttemptEnded& ended) {
  return CreateWhole(parent, id, [&ended](const AttemptDir& dir) -> absl::Status {
    return EndJournal(dir.journal(), ended).status();
  });
}

absl::Status Launcher::FetchCode(const AttemptDir& dir, const internal::v1::JobTemplate& job,
                                 std::stop_token stop) const {
  RISEML_RETURN_IF_ERROR(RemoveTree(dir.code()));
  RISEML_RETURN_IF_ERROR(MakeDirectory(dir.code(), 0755));
  if (job.commit().empty()) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const ChunkReader reader, code_.Open(job.project_uid(), job.commit(), std::move(stop)));
  return UnpackArchive(reader, dir.code());
}

absl::StatusOr<std::string> Launcher::MakeOutput(const internal::v1::JobTemplate& job) const {
  if (job.output_subpath().empty()) return std::string();
  RISEML_RETURN_IF_ERROR(MakeDirectories(options_.config.volume_output_dir()));
  RISEML_ASSIGN_OR_RETURN(const std::string path,
                          MakeDirectoriesBelow(options_.config.volume_output_dir(), job.output_subpath()));
  if (!job.config_copy().empty())
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(path, "/", kConfigCopy), job.config_copy()));
  return path;
}

absl::StatusOr<bool> Launcher::CopyPipConfig(const AttemptDir& dir) const {
  const auto variable = [this](const char* name) {
    const auto it = options_.environment.find(name);
    return it == options_.environment.end() ? std::string() : it->second;
  };
  const std::string home = variable("HOME");
  for (const std::string& path : {variable("PIP_CONFIG_FILE"), home + "/.config/pip/pip.conf", home + "/.pip/pip.conf",
                                  std::string("/etc/pip.conf")}) {
    if (path.empty() || !FileExists(path)) continue;
    RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSmallFile));
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(dir.pip_config(), text, 0600));
    return true;
  }
  return false;
}

absl::Status Launcher::WriteRunPlan(const AttemptDir& dir, const StartAttemptRequest& start,
                                    const std::string& output) const {
  RISEML_ASSIGN_OR_RETURN(const bool pip_config, CopyPipConfig(dir));
  const bool has_data = !options_.config.volume_data_dir().empty();
  JobPaths paths;
  if (sandboxed()) {
    paths = {.control = kSandboxControl,
             .temporary = kSandboxTemporary,
             .output = output.empty() ? "" : kSandboxOutput,
             .data = has_data ? kSandboxData : ""};
  } else {
    paths = {.control = dir.control(),
             .temporary = dir.temporary(),
             .output = output,
             .data = options_.config.volume_data_dir()};
  }
  paths.python_client = options_.config.python_client_dir();
  if (pip_config) paths.pip_config = paths.control + "/pip.conf";
  internal::v1::RunPlan plan;
  *plan.mutable_build_steps() = start.build_steps();
  *plan.mutable_commands() = start.template_().commands();
  for (const auto& [name, value] : JobVariables(start, paths, options_.environment))
    (*plan.mutable_environment())[name] = value;
  plan.set_work_dir(sandboxed() ? kSandboxCode : dir.code());
  plan.set_grace_seconds(start.grace_seconds());
  plan.set_max_run_seconds(start.template_().max_run_seconds());
  plan.set_role(start.role());
  plan.set_own_dev(sandboxed());
  return WriteMessage(dir.run_plan(), plan);
}

absl::Status Launcher::Prepare(const AttemptDir& dir, const StartAttemptRequest& start, std::stop_token stop) const {
  if (start.secret_environment_size() > 0)
    return Error(Reason::kUnsupported, "this node cannot resolve secret variables; start the job without them");
  RISEML_RETURN_IF_ERROR(FetchCode(dir, start.template_(), std::move(stop)));
  RISEML_RETURN_IF_ERROR(MakeDirectory(dir.temporary(), 0700));
  RISEML_RETURN_IF_ERROR(MakeDirectory(dir.temporary() + "/home", 0700));
  // Without an environment, "python" is the machine's interpreter under its usual names.
  const std::string bin = dir.control() + "/bin";
  RISEML_RETURN_IF_ERROR(MakeDirectory(bin, 0755));
  for (const char* name : {"/python", "/python3"})
    if (symlink(PythonOf(options_.config).c_str(), (bin + name).c_str()) != 0 && errno != EEXIST)
      return ErrnoError(errno, absl::StrCat("make the link ", bin, name));
  if (!start.environment_path().empty() && start.build_steps_size() > 0)
    RISEML_RETURN_IF_ERROR(MakeDirectories(start.environment_path()));
  if (!start.environment_path().empty() && !FileExists(start.environment_path()))
    return Error(Reason::kNotFound,
                 absl::StrCat("the environment ", start.environment_path(), " is gone; start the experiment again"));
  RISEML_ASSIGN_OR_RETURN(const std::string output, MakeOutput(start.template_()));
  if (!options_.config.volume_data_dir().empty())
    RISEML_RETURN_IF_ERROR(MakeDirectories(options_.config.volume_data_dir()));
  return WriteRunPlan(dir, start, output);
}

SandboxRequest Launcher::DescribeSandbox(const AttemptDir& dir, const StartAttemptRequest& start) const {
  SandboxRequest request;
  request.as_root = geteuid() == 0;
  request.agent = options_.agent;
  request.control = dir.control();
  request.code = dir.code();
  request.temporary = dir.temporary();
  if (!start.template_().output_subpath().empty())
    request.output = absl::StrCat(options_.config.volume_output_dir(), "/", start.template_().output_subpath());
  request.data = options_.config.volume_data_dir();
  request.environment = start.environment_path();
  request.environment_writable = start.build_steps_size() > 0 || start.role() == "build";
  request.python_client = options_.config.python_client_dir();
  request.gpus = start.gpu_uuids_size() > 0;
  return request;
}

absl::StatusOr<pid_t> Launcher::StartRun(const AttemptDir& dir, const StartAttemptRequest& start) const {
  if (chmod(dir.log().c_str(), 0600) != 0) return ErrnoError(errno, absl::StrCat("chmod ", dir.log()));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(dir.log(), O_WRONLY | O_APPEND | O_NOFOLLOW));
  // From now on nobody opens it for writing by name, as `> /dev/stderr` would: that empties a file.
  if (fchmod(log.get(), 0400) != 0) return ErrnoError(errno, absl::StrCat("chmod ", dir.log()));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd journal, OpenFile(dir.journal(), O_RDWR | O_APPEND | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd results, OpenFile(dir.results(), O_WRONLY | O_APPEND | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd own_log,
                          OpenFile(dir.run_log(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  SpawnRequest request;
  request.descriptors = {{own_log.get(), 1},
                         {own_log.get(), 2},
                         {log.get(), kInheritedFiles.log},
                         {journal.get(), kInheritedFiles.journal},
                         {results.get(), kInheritedFiles.results}};
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  if (sandboxed())
    request.argv = SandboxArguments(DescribeSandbox(dir, start), system_,
                                    {kSandboxAgent, "run", "--dir", kSandboxControl, "--inherited"});
  else
    request.argv = {options_.agent, "run", "--dir", dir.control(), "--inherited"};
  return SpawnDetached(request);
}

absl::StatusOr<pid_t> Launcher::StartShip(const AttemptDir& dir) const {
  internal::v1::ShipPlan plan;
  plan.set_loghandler_address(options_.config.loghandler_user_address());
  plan.set_api_address(options_.config.api_user_address());
  RISEML_ASSIGN_OR_RETURN(*plan.mutable_ca_pem(), ReadFile(options_.config.ca_file(), kMaxSmallFile));
  plan.set_unshipped_bytes_limit(options_.config.unshipped_bytes_limit() > 0 ? options_.config.unshipped_bytes_limit()
                                                                             : kDefaultUnshippedLimit);
  RISEML_RETURN_IF_ERROR(WriteMessage(dir.ship_plan(), plan));
  // Writable for this moment only, and only to free what is stored.
  if (chmod(dir.log().c_str(), 0600) != 0) return ErrnoError(errno, absl::StrCat("chmod ", dir.log()));
  absl::StatusOr<UniqueFd> log = OpenFile(dir.log(), O_RDWR | O_NOFOLLOW);
  if (chmod(dir.log().c_str(), 0400) != 0) return ErrnoError(errno, absl::StrCat("chmod ", dir.log()));
  RISEML_RETURN_IF_ERROR(log.status());
  RISEML_ASSIGN_OR_RETURN(const UniqueFd own_log,
                          OpenFile(dir.ship_log(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  SpawnRequest request;
  request.argv = {options_.agent, "ship", "--dir", dir.path(), "--inherited"};
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  request.descriptors = {{own_log.get(), 1}, {own_log.get(), 2}, {log->get(), kInheritedShipLog}};
  return SpawnDetached(request);
}

std::string Launcher::Cookie(const AttemptDir& dir) const {
  return absl::StrCat("RISEML_SOCKET=", dir.control(), "/socket");
}

}  // namespace riseml::agent
