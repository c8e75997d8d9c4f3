#include "services/agent/launch/launcher.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/attempt/work_files.h"
#include "services/agent/environment/leavings.h"
#include "services/agent/launch/job_tools.h"
#include "services/agent/launch/network.h"
#include "services/agent/launch/notes.h"
#include "services/agent/launch/package_settings.h"
#include "services/agent/launch/passwords.h"
#include "services/agent/launch/shares.h"
#include "services/agent/machine/gpu_devices.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/python_versions.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using internal::v1::StartAttemptRequest;

constexpr char kDefaultPython[] = "/usr/bin/python3";
constexpr std::int64_t kMaxSmallFile = 1 << 20;
constexpr std::int64_t kDefaultKeptLimit = std::int64_t{1} << 30;

absl::Status MakeDirectory(const std::string& path, int mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", path));
  return absl::OkStatus();
}

absl::Status MakeEmptyFile(const std::string& path, int mode) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  return absl::OkStatus();
}

// Fills a directory under a temporary name and renames it only when it is complete.
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
    // Another call was faster.
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
  // An interpreter outside of /usr, PREFIX/bin/python3, needs its whole installation PREFIX.
  std::error_code error;
  const fs::path real = fs::canonical(python, error);
  if (!error && !absl::StartsWith(real.string(), "/usr/")) paths.push_back(real.parent_path().parent_path().string());
  return paths;
}

std::string PythonOf(const config::v1::NodeConfig& config) {
  return config.python().empty() ? kDefaultPython : config.python();
}

}  // namespace

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

Launcher::Launcher(LauncherOptions options, CodeSource& code, SecretSource& secrets)
    : options_(std::move(options)),
      code_(code),
      secrets_(secrets),
      system_(LookAtSystem(ExtraPaths(options_.environment, PythonOf(options_.config)),
                           options_.config.installation_dir())),
      outputs_(options_.config.volume_output_dir()),
      steps_(options_.config),
      claims_(options_.config.environments_dir()),
      interpreters_(PythonOf(options_.config), std::nullopt,
                    {options_.config.interpreter_dirs().begin(), options_.config.interpreter_dirs().end()}) {}

absl::StatusOr<bool> Launcher::CreateAttempt(const std::string& parent, const AttemptId& id,
                                             const StartAttemptRequest& start) {
  return CreateWhole(parent, id, [&start](const AttemptDir& dir) -> absl::Status {
    RISEML_RETURN_IF_ERROR(MakeDirectory(dir.control(), 0700));
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

absl::Status Launcher::PlaceSecrets(const AttemptDir& dir, const StartAttemptRequest& start) const {
  if (start.template_().secrets().empty()) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const auto values, secrets_.Fetch(start.token()));
  internal::v1::AttemptSecrets all, variables;
  const std::string files = absl::StrCat(dir.temporary(), "/", kSecretsDirectory);
  RISEML_RETURN_IF_ERROR(MakeDirectory(files, 0700));
  for (const v1::SecretUse& use : start.template_().secrets()) {
    const auto value = values.find(use.name());
    if (value == values.end())
      return absl::FailedPreconditionError(absl::StrCat("secret ", use.name(), " has no value; set it again"));
    (*all.mutable_values())[use.name()] = value->second;
    if (use.as_file())
      RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(files, "/", use.name()), value->second, 0400));
    else
      (*variables.mutable_values())[use.name()] = value->second;
  }
  RISEML_RETURN_IF_ERROR(WriteMessage(dir.secrets(), all));
  return WriteMessage(dir.run_secrets(), variables);
}

absl::StatusOr<bool> Launcher::CopyPipConfig(const AttemptDir& dir) const {
  const std::string path = PipConfigOf(options_.environment);
  if (path.empty()) return false;
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSmallFile));
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(dir.pip_config(), WithoutUserinfo(text, true), 0600));
  return true;
}

Launcher::Places Launcher::PlacesOf(const AttemptDir& dir, const StartAttemptRequest& start) const {
  const internal::v1::JobTemplate& job = start.template_();
  Places places{{dir.path(), outputs_.PathOf(job.output_subpath())},
                {outputs_.PathOf(job.shared_subpath()), CacheOf(start)}};
  if (start.build_steps_size() > 0) places.own.push_back(start.environment_path());
  if (start.builds_image()) {
    places.own.push_back(BuildRootOf(dir));
    places.shared.push_back(BuildStorageOf(job));
  }
  for (std::vector<std::string>* paths : {&places.own, &places.shared}) std::erase(*paths, "");
  return places;
}

// Tells `run` about the place where it runs, and the user what is special there.
void Launcher::DescribeSurroundings(const StartAttemptRequest& start, internal::v1::RunPlan* plan) const {
  const bool contained = IsInContainer(start), walled = contained || sandboxed();
  plan->set_own_network(!contained && processes_have_network());
  plan->set_in_container(contained);
  if (start.has_image()) plan->set_python_client_dir(options_.config.python_client_dir());
  plan->set_sandboxed(walled && !start.builds_image());  // a build mounts its layers
  const bool counted = contained && options_.podman->limits();
  if (walled && !counted) plan->set_most_processes(MostProcesses());
  if (counted) plan->set_memory_limit_bytes(start.resources().memory_bytes());
  for (const int port : ForwardedPortsOf(start)) plan->add_forwarded_ports(port);
  const std::vector<std::string> notes =
      walled ? NotesOnData(options_.config, contained ? SystemView() : system_) : NotesOnPlainPaths(start);
  *plan->mutable_notes() = {notes.begin(), notes.end()};
  if (walled && !(contained && LooksLikeCdi()))
    for (std::string& note : NotesOnGpus(FindGpuDevices({start.gpu_uuids().begin(), start.gpu_uuids().end()})))
      plan->add_notes(std::move(note));
  if (contained) return;
  if (!start.environment_path().empty() && start.build_steps_size() == 0)  // otherwise the build logs it
    if (std::string note = NoteOfBuild(PlaceOfEnvironment(start)); !note.empty()) plan->add_notes(std::move(note));
  plan->set_interpreter_note(PythonFor(start.template_().image()).note);
  if (start.environment_path().empty() && !plan->interpreter_note().empty())  // otherwise the build has logged it
    plan->add_notes(absl::StrCat("NOTE: ", plan->interpreter_note()));
}

std::vector<std::string> Launcher::WatchedDirectories(const std::string& attempts) const {
  std::vector<std::string> directories = {attempts, options_.config.volume_output_dir()};
  if (options_.podman != nullptr) directories.push_back(options_.podman->storage_dir());
  return directories;
}

absl::Status Launcher::WriteRunPlan(const AttemptDir& dir, const StartAttemptRequest& start,
                                    const std::string& output) const {
  RISEML_ASSIGN_OR_RETURN(const bool pip_config, CopyPipConfig(dir));
  const bool contained = IsInContainer(start), walled = contained || sandboxed();
  JobPaths paths{.control = walled ? kSandboxControl : dir.control(),
                 .temporary = walled ? kSandboxTemporary : dir.temporary(),
                 .output = output,
                 .shared = outputs_.PathOf(start.template_().shared_subpath()),
                 .inputs = outputs_.InputsOf(start.template_()),
                 .data = options_.config.volume_data_dir(),
                 .python_client = options_.config.python_client_dir(),
                 .cache = CacheOf(start)};
  if (pip_config) paths.pip_config = paths.control + "/pip.conf";
  internal::v1::RunPlan plan;
  *plan.mutable_build_steps() = start.build_steps();
  *plan.mutable_commands() = start.template_().commands();
  plan.set_work_dir(walled ? kSandboxCode : dir.code());
  if (start.has_grace()) *plan.mutable_grace() = start.grace();
  if (start.template_().has_max_run_time()) *plan.mutable_max_run_time() = start.template_().max_run_time();
  plan.set_role(start.role());
  const std::int64_t kept = options_.config.kept_bytes_limit();
  plan.set_kept_bytes_limit(kept == 0 ? kDefaultKeptLimit : kept);
  if (!output.empty()) plan.set_kept_dir(absl::StrCat(output, "/", KeptName(start.attempt())));
  DescribeSurroundings(start, &plan);
  // Without a sandbox HOME and the project's directory have another path in each attempt.
  if (sandboxed() && !contained)
    if (auto reuse = steps_.PlanFor(start, WorkOf(start.template_()), kSandboxTemporary); reuse)
      *plan.mutable_step_reuse() = *std::move(reuse);

  const MutexLock lock(shares_);  // until the plan is written and other calls can see it
  const std::string parent = fs::path(dir.path()).parent_path().string();
  const bool build = start.role() == "build";
  const std::vector<internal::v1::RunPlan> others =
      build ? std::vector<internal::v1::RunPlan>() : LivePlans(parent, dir.path());
  const JobPorts ports = build ? JobPorts() : ChoosePorts(others, std::hash<std::string>()(dir.path()));
  RISEML_ASSIGN_OR_RETURN(const Variables variables, contained
                                                         ? VariablesInContainer(start, paths, ports)
                                                         : JobVariables(start, paths, ports, options_.environment));
  *plan.mutable_environment() = {variables.begin(), variables.end()};
  if (!build)
    for (const int processor : ChooseProcessors(others, OwnProcessors(), start.resources().cpus()))
      plan.add_processors(processor);
  return WriteMessage(dir.run_plan(), plan);
}

absl::Status Launcher::PrepareEnvironment(const AttemptDir& dir, const StartAttemptRequest& start,
                                          const std::stop_token& stop) const {
  if (start.environment_path().empty()) return absl::OkStatus();
  const bool builds = start.build_steps_size() > 0;
  if (builds) RISEML_RETURN_IF_ERROR(claims_.Claim(start.environment_path(), dir.path()));
  if (!FileExists(PlaceOfEnvironment(start)))
    return Error(Reason::kNotFound,
                 absl::StrCat("the environment ", start.environment_path(), " is gone; start the experiment again"));
  if (builds) return absl::OkStatus();
  if (PlaceOfEnvironment(start) != start.environment_path())
    RISEML_RETURN_IF_ERROR(LinkToSealed(start.environment_path()));
  // The copies are younger than the code, as make and similar tools expect of build results.
  RISEML_RETURN_IF_ERROR(CopyBeneath(LeftInCode(PlaceOfEnvironment(start)), dir.code(), SystemClock().Now(), stop));
  return CopyBeneath(LeftInHome(PlaceOfEnvironment(start)), dir.temporary() + "/home", std::nullopt, stop);
}

absl::Status Launcher::Prepare(const AttemptDir& dir, const StartAttemptRequest& start, std::stop_token stop) const {
  if (start.secret_environment_size() > 0)
    return Error(Reason::kUnsupported, "this node cannot resolve secret variables; start the job without them");
  RISEML_RETURN_IF_ERROR(CheckForContainers(start));
  const bool contained = IsInContainer(start);
  RISEML_RETURN_IF_ERROR(start.has_image() ? PullImage(dir, start, stop) : FetchCode(dir, start.template_(), stop));
  RISEML_RETURN_IF_ERROR(MakeDirectory(dir.temporary(), 0700));
  RISEML_RETURN_IF_ERROR(MakeDirectory(dir.temporary() + "/home", 0700));
  // Files in the HOME of a build are kept for jobs, and each job gets these start-up files anyway.
  const std::string home = start.build_steps_size() > 0 ? "" : dir.temporary() + "/home";
  if (!contained)
    RISEML_RETURN_IF_ERROR(PlaceInterpreter(dir.control(), home, PythonFor(start.template_().image()).path,
                                            options_.config.python_client_dir()));
  RISEML_RETURN_IF_ERROR(PlaceJobTools(dir.control(), contained || sandboxed() ? kSandboxJob : options_.job));
  RISEML_RETURN_IF_ERROR(PrepareCache(dir, start));
  RISEML_RETURN_IF_ERROR(PrepareEnvironment(dir, start, stop));
  RISEML_RETURN_IF_ERROR(outputs_.CheckInputs(start.template_()));
  RISEML_RETURN_IF_ERROR(PlaceSecrets(dir, start));
  if (processes_have_network() && !contained)
    RISEML_RETURN_IF_ERROR(WriteFileQuickly(
        dir.resolv_conf(), ResolvConfOf(ReadFile("/etc/resolv.conf", kMaxSmallFile).value_or("")), 0644));
  RISEML_ASSIGN_OR_RETURN(const std::string output, outputs_.Prepare(start));
  if (!options_.config.volume_data_dir().empty())
    RISEML_RETURN_IF_ERROR(MakeDirectories(options_.config.volume_data_dir()));
  if (contained && start.builds_image()) RISEML_RETURN_IF_ERROR(PrepareBuildRoot(dir, start));
  RISEML_RETURN_IF_ERROR(WriteRunPlan(dir, start, output));
  return contained ? GiveFilesToContainer(dir, start, output) : absl::OkStatus();
}

absl::Status Launcher::SettleEnvironment(const AttemptDir& dir, const internal::v1::AttemptEnded& ended) const {
  const absl::StatusOr<StartAttemptRequest> start = ReadMessage<StartAttemptRequest>(dir.start());
  if (!start.ok() || start->environment_path().empty() || start->build_steps_size() == 0) return absl::OkStatus();
  const bool succeeded = ended.event() == internal::v1::Observation::EXITED && ended.exit_code() == 0;
  return claims_.Settle(start->environment_path(), dir.path(), succeeded);
}

std::string Launcher::PlaceOfEnvironment(const StartAttemptRequest& start) {
  const std::optional<std::string> sealed = SealedPathOf(start.environment_path());
  return sealed && FileExists(*sealed) ? *sealed : start.environment_path();
}

Interpreter Launcher::PythonFor(const std::string& image) const {
  absl::StatusOr<Interpreter> chosen = interpreters_.Choose(image);
  if (chosen.ok()) return *std::move(chosen);
  // This interpreter cannot make environments, but may run programs.
  const std::string usual = PythonOf(options_.config);
  return {.path = usual, .version = "", .prefix = PythonPrefix(usual), .note = ""};
}

std::string Launcher::Cookie(const AttemptDir& dir) const {
  return absl::StrCat("RISEML_SOCKET=", dir.control(), "/socket");
}

}  // namespace riseml::agent
