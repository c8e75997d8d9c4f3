#include "services/agent/launch/podman.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/agent/launch/build_root.h"
#include "services/agent/launch/container.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/process_identity.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr char kPodman[] = "/usr/bin/podman";
constexpr char kUnshare[] = "/usr/bin/unshare";
constexpr absl::Duration kShortCall = absl::Minutes(2);  // the storage may be busy
constexpr absl::Duration kLongCall = absl::Hours(1);
constexpr absl::Duration kPullLimit = absl::Hours(2);
constexpr char kRunRoot[] = "/storage", kState[] = "/state";  // below the run directory
constexpr std::int64_t kMaxBootId = 128;
constexpr std::int64_t kProbeBytes = std::int64_t{256} << 20;

// The last line that Podman printed, without its prefix.
std::string LastError(absl::string_view printed) {
  std::vector<absl::string_view> lines = absl::StrSplit(printed, '\n', absl::SkipWhitespace());
  absl::string_view line = lines.empty() ? "podman says nothing" : absl::StripAsciiWhitespace(lines.back());
  absl::ConsumePrefix(&line, "Error: ");
  return std::string(line);
}

// Text of a registry or of the network, and its meaning.
struct PullFailure {
  absl::string_view text;
  absl::StatusCode code;
  absl::string_view meaning;
};
constexpr PullFailure kPullFailures[] = {
    {"no space left on device", absl::StatusCode::kResourceExhausted, "the disk of the node is full"},
    {"manifest unknown", absl::StatusCode::kNotFound, "the registry does not have it"},
    {"name unknown", absl::StatusCode::kNotFound, "the registry does not have it"},
    {"repository name not known", absl::StatusCode::kNotFound, "the registry does not have it"},
    {"unauthorized", absl::StatusCode::kPermissionDenied, "the registry refuses the credentials"},
    {"authentication required", absl::StatusCode::kPermissionDenied, "the registry refuses the credentials"},
    {"denied", absl::StatusCode::kPermissionDenied, "the registry refuses the credentials"},
    {"connection refused", absl::StatusCode::kUnavailable, "the registry cannot be reached"},
    {"no such host", absl::StatusCode::kUnavailable, "the registry cannot be reached"},
    {"timeout", absl::StatusCode::kUnavailable, "the registry does not answer"},
    {"connection reset", absl::StatusCode::kUnavailable, "the registry cannot be reached"},
    {"network is unreachable", absl::StatusCode::kUnavailable, "the registry cannot be reached"},
    {"unexpected EOF", absl::StatusCode::kUnavailable, "the registry broke off"},
    {"received unexpected HTTP status: 5", absl::StatusCode::kUnavailable, "the registry fails"},
    {"too many requests", absl::StatusCode::kUnavailable, "the registry has too many requests"},
};

absl::Status CheckReference(absl::string_view reference) {
  if (!reference.empty() && reference[0] != '-' && absl::StrContains(reference, '/')) return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("'", reference, "' is not the full name of an image"));
}

// Lets the accounts of containers search the directory, and everybody search its parents. Podman lets everybody search
// the directory too once a container starts, and the layer of that container until it ends. The layers of images, with
// programs that give the rights of root to whoever can run them, are closed to all but root.
absl::Status OpenForContainers(const std::string& directory) {
  if (chown(directory.c_str(), 0, kFirstContainerUid) != 0 || chmod(directory.c_str(), 0710) != 0)
    return ErrnoError(errno, absl::StrCat("let containers search ", directory));
  for (std::filesystem::path path = std::filesystem::path(directory).parent_path(); path.has_relative_path();
       path = path.parent_path()) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path.string()));
    if ((info.st_mode & S_IXOTH) != 0) continue;
    LogInfo("directory_opened_for_containers", {{"path", path.string()}});
    if (chmod(path.c_str(), (info.st_mode & 07777) | S_IXGRP | S_IXOTH) != 0)
      return ErrnoError(errno, absl::StrCat("let containers search ", path.string()));
  }
  return absl::OkStatus();
}

// Makes a directory that everybody who gets to it may search, whatever the file mode mask says.
absl::Status MakeSearchable(const std::string& path) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(path, 0711));
  if (chmod(path.c_str(), 0711) != 0) return ErrnoError(errno, absl::StrCat("let containers search ", path));
  return absl::OkStatus();
}

// Makes a directory that nobody else may have made.
absl::Status MakeOwnDirectory(const std::string& path) {
  RISEML_RETURN_IF_ERROR(MakePlainDirectory(path, 0700));
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, " belongs to somebody else; remove it"));
}

// Removes a file that must not stay.
class RemovedAtEnd {
 public:
  explicit RemovedAtEnd(std::string path) : path_(std::move(path)) {}
  ~RemovedAtEnd() { unlink(path_.c_str()); }

 private:
  const std::string path_;
};

std::vector<std::string> LinesOf(const std::string& text) { return absl::StrSplit(text, '\n', absl::SkipWhitespace()); }

}  // namespace

absl::Status PullError(absl::string_view reference, absl::string_view printed) {
  const std::string said = LastError(printed);
  for (const PullFailure& failure : kPullFailures) {
    if (!absl::StrContains(said, failure.text)) continue;
    const std::string message =
        absl::StrCat("the image ", reference, " cannot be pulled: ", failure.meaning, " (", said, ")");
    if (failure.code == absl::StatusCode::kResourceExhausted) return Error(Reason::kDiskFull, message);
    return absl::Status(failure.code, message);
  }
  return absl::InternalError(absl::StrCat("the image ", reference, " cannot be pulled: ", said));
}

std::string Podman::In(absl::string_view name) const { return absl::StrCat(storage_dir_, "/", name); }

absl::StatusOr<std::unique_ptr<Podman>> Podman::Open(const std::string& storage_dir) {
  if (!FileExists(kPodman))
    return absl::FailedPreconditionError(absl::StrCat("podman is configured, and there is no ", kPodman,
                                                      "; install it (apt-get install podman runc slirp4netns)"));
  std::unique_ptr<Podman> podman(new Podman(storage_dir, LookAtMachineForPodman()));
  RISEML_RETURN_IF_ERROR(podman->Prepare());
  RISEML_RETURN_IF_ERROR(podman->LookAtCgroups());
  return podman;
}

std::vector<std::string> Podman::ListBuildRoots() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(In("builds"), error))
    names.push_back(entry.path().filename().string());
  return names;
}

absl::Status Podman::Prepare() const {
  RISEML_RETURN_IF_ERROR(MakeDirectories(storage_dir_, 0700));
  RISEML_ASSIGN_OR_RETURN(const std::string boot_id, BootId());
  // What Podman keeps of running containers is wrong after a restart of the machine. It expects that such a restart
  // empties these directories.
  if (ReadFile(In("boot"), kMaxBootId).value_or("") != boot_id) RISEML_RETURN_IF_ERROR(RemoveTree(run_dir_));
  RISEML_RETURN_IF_ERROR(MakeOwnDirectory(run_dir_));
  if (machine_.root)
    for (const std::string& directory : {storage_dir_, run_dir_}) RISEML_RETURN_IF_ERROR(OpenForContainers(directory));
  for (const char* name : {"images", "tmp", "home", "builds"}) RISEML_RETURN_IF_ERROR(MakeSearchable(In(name)));
  for (const char* name : {kRunRoot, kState}) RISEML_RETURN_IF_ERROR(MakeSearchable(run_dir_ + name));
  for (const char* name : {"runtime", "used"}) RISEML_RETURN_IF_ERROR(MakeDirectories(In(name), 0700));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(In("boot"), boot_id));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(In("registries.conf"), ""));  // no short names, no mirrors
  return WriteFileAtomically(In("containers.conf"), ContainersConf(machine_, run_dir_ + kState));
}

std::vector<std::string> Podman::Words() const {
  // Without the last option Podman mounts its storage on itself, and nobody can remove it before that is undone.
  return {kPodman,
          "--root",
          In("images"),
          "--runroot",
          run_dir_ + kRunRoot,
          "--storage-driver",
          "overlay",
          "--storage-opt",
          "overlay.skip_mount_home=true"};
}

std::vector<std::string> Podman::WordsToRun() const {
  std::vector<std::string> words;
  if (machine_.root) words = {kUnshare, "--mount", "--propagation", "slave"};
  for (std::string& word : Words()) words.push_back(std::move(word));
  return words;
}

std::vector<std::string> Podman::Environment() const {
  std::vector<std::string> environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                          "LANG=C.UTF-8",
                                          absl::StrCat("HOME=", In("home")),
                                          absl::StrCat("TMPDIR=", In("tmp")),
                                          absl::StrCat("CONTAINERS_CONF=", In("containers.conf")),
                                          absl::StrCat("CONTAINERS_REGISTRIES_CONF=", In("registries.conf"))};
  if (!machine_.root) environment.push_back(absl::StrCat("XDG_RUNTIME_DIR=", In("runtime")));
  return environment;
}

absl::StatusOr<std::string> Podman::Call(const std::vector<std::string>& arguments, absl::string_view doing,
                                         const std::stop_token& stop, absl::Duration limit) const {
  ProgramRequest request{.argv = Words(), .environment = Environment(), .limit = limit};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  absl::StatusOr<ProgramResult> result = RunProgram(request, stop);
  if (!result.ok()) return While(doing, result.status());
  if (result->exit_code == 0) return std::move(result->output);
  return absl::InternalError(absl::StrCat(doing, ": ", LastError(result->errors)));
}

absl::Status Podman::LookAtCgroups() {
  const absl::StatusOr<std::string> controllers =
      Call({"info", "--format", "{{.Host.CgroupControllers}}"}, "podman does not work here", {}, kShortCall);
  if (!controllers.ok())
    return absl::FailedPreconditionError(absl::StrCat(
        controllers.status().message(), "; remove `podman` from the configuration to run jobs as processes"));
  limits_ = machine_.root || (absl::StrContains(*controllers, "memory") && absl::StrContains(*controllers, "cpu"));
  return absl::OkStatus();
}

absl::Status Podman::Probe(const std::string& job, const SystemView& system) const {
  const std::string root = BuildRootOf("probe");
  RISEML_RETURN_IF_ERROR(MakeBuildRoot(root, system));
  RISEML_RETURN_IF_ERROR(MakeBuildStorage(In("probe")));
  if (machine_.root) RISEML_RETURN_IF_ERROR(GiveTreeToContainers(root));
  ContainerRequest request;
  request.podman = WordsToRun();
  request.name = absl::StrCat("probe-", getpid());
  request.rootfs = root;
  request.as_root = machine_.root;
  request.limits = limits_;
  request.job = job;
  request.memory_bytes = kProbeBytes;
  request.cpus = 1;
  AddBuildSurroundings(system, In("probe"), &request);
  const absl::StatusOr<ProgramResult> result = RunProgram(
      {.argv = ContainerArguments(request, {"--version"}), .environment = Environment(), .limit = kShortCall});
  const absl::Status removed = RemoveTree(root);
  if (result.ok() && result->exit_code == 0) return removed;
  return absl::FailedPreconditionError(
      absl::StrCat("podman cannot run containers here: ",
                   result.ok() ? LastError(result->errors) : std::string(result.status().message()),
                   "; remove `podman` from the configuration to run jobs as processes"));
}

// File whose time is that of the last use of the image, by its digest.
std::string Podman::UseOf(absl::string_view reference) const {
  const std::size_t digest = reference.rfind(':');
  return In(absl::StrCat("used/", digest == absl::string_view::npos ? reference : reference.substr(digest + 1)));
}

void Podman::NoteUse(absl::string_view reference) const {
  if (const absl::Status noted = WriteFileQuickly(UseOf(reference), reference); !noted.ok())
    LogWarning("image_use_not_noted", {{"image", reference}, {"error", std::string(noted.message())}});
}

absl::StatusOr<bool> Podman::HasImage(const std::string& reference, const std::stop_token& stop) const {
  ProgramRequest request{.argv = Words(), .environment = Environment(), .limit = kShortCall};
  for (const char* word : {"image", "exists", reference.c_str()}) request.argv.emplace_back(word);
  RISEML_ASSIGN_OR_RETURN(const ProgramResult result, RunProgram(request, stop));
  return result.exit_code == 0;
}

absl::Status Podman::Pull(const internal::v1::ContainerImage& image, const std::string& auth_file,
                          const std::stop_token& stop) const {
  RISEML_RETURN_IF_ERROR(CheckReference(image.reference()));
  NoteUse(image.reference());  // first, so that it is not removed while it is looked for
  RISEML_ASSIGN_OR_RETURN(const bool present, HasImage(image.reference(), stop));
  if (present) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const std::string credentials,
                          AuthFile(image.reference(), image.username(), image.password()));
  const RemovedAtEnd removed(auth_file);
  // Written in any case: otherwise Podman would use the credentials of the account.
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(auth_file, credentials, 0600));
  ProgramRequest request{.argv = Words(), .environment = Environment(), .limit = kPullLimit};
  for (const std::string& word :
       {std::string("pull"), std::string("--quiet"), std::string("--authfile"), auth_file,
        absl::StrCat("--tls-verify=", image.plain_http() ? "false" : "true"), image.reference()})
    request.argv.push_back(word);
  const absl::StatusOr<ProgramResult> result = RunProgram(request, stop);
  if (!result.ok() || result->exit_code != 0) unlink(UseOf(image.reference()).c_str());  // there is no such image here
  if (!result.ok()) return While(absl::StrCat("pull the image ", image.reference()), result.status());
  return result->exit_code == 0 ? absl::OkStatus() : PullError(image.reference(), result->errors);
}

absl::StatusOr<Variables> Podman::EnvironmentOf(const std::string& reference, const std::stop_token& stop) const {
  RISEML_ASSIGN_OR_RETURN(const std::string json,
                          Call({"image", "inspect", "--format", "{{json .Config.Env}}", reference},
                               absl::StrCat("look at the image ", reference), stop, kShortCall));
  Variables variables;
  google::protobuf::ListValue list;
  const absl::string_view text = absl::StripAsciiWhitespace(json);
  if (text == "null" || text.empty()) return variables;
  if (!google::protobuf::util::JsonStringToMessage(std::string(text), &list).ok())
    return absl::InternalError(absl::StrCat("look at the image ", reference, ": its variables cannot be read"));
  for (const google::protobuf::Value& value : list.values()) {
    const std::pair<std::string, std::string> variable = absl::StrSplit(value.string_value(), absl::MaxSplits('=', 1));
    if (!variable.first.empty()) variables.insert_or_assign(variable.first, variable.second);
  }
  return variables;
}

absl::StatusOr<std::vector<HeldImage>> Podman::ListImages(absl::Time now, const std::stop_token& stop) const {
  RISEML_ASSIGN_OR_RETURN(const std::string text,
                          Call({"images", "--digests", "--format", "{{.Repository}}@{{.Digest}}"},
                               "list the images of the node", stop, kShortCall));
  std::vector<HeldImage> images;
  for (const std::string& reference : LinesOf(text)) {
    if (!CheckReference(reference).ok()) continue;  // "<none>", a part of others
    struct stat use {};
    const bool known = stat(UseOf(reference).c_str(), &use) == 0;
    if (!known) NoteUse(reference);
    images.push_back({reference, known ? absl::TimeFromTimespec(use.st_mtim) : now});
  }
  return images;
}

absl::Status Podman::RemoveImage(const std::string& reference, const std::stop_token& stop) const {
  RISEML_RETURN_IF_ERROR(CheckReference(reference));
  const absl::Status removed =
      Call({"rmi", reference}, absl::StrCat("remove the image ", reference), stop, kShortCall).status();
  if (absl::StrContains(removed.message(), "in use")) return absl::FailedPreconditionError(removed.message());
  if (removed.ok()) unlink(UseOf(reference).c_str());
  return removed;
}

absl::Status Podman::RemoveTreeOfContainers(const std::string& path, const std::stop_token& stop) const {
  if (machine_.root) return RemoveTree(path);
  return Call({"unshare", "rm", "-rf", "--", path}, absl::StrCat("remove ", path), stop, kLongCall).status();
}

absl::StatusOr<std::vector<std::string>> Podman::ListContainers(const std::stop_token& stop) const {
  RISEML_ASSIGN_OR_RETURN(const std::string text, Call({"ps", "--all", "--format", "{{.Names}}"},
                                                       "list the containers of the node", stop, kShortCall));
  return LinesOf(text);
}

absl::Status Podman::RemoveContainer(const std::string& name, const std::stop_token& stop) const {
  return Call({"rm", "--force", "--time", "0", "--volumes", name}, absl::StrCat("remove the container ", name), stop,
              kShortCall)
      .status();
}

}  // namespace riseml::agent
