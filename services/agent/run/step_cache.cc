#include "services/agent/run/step_cache.h"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/agent/attempt/work_files.h"
#include "services/agent/process/process.h"
#include "services/agent/shell/shell_driver.h"
#include "services/agent/shell/shell_process.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using internal::v1::KeptSteps;

constexpr std::int64_t kMaxStateBytes = 64 << 20;
constexpr int kFreeShare = 20;  // 1/kFreeShare of the disk stays free
// Expected speed of a copy; see docs/environments.md.
constexpr double kFilesPerSecond = 3000;
constexpr double kBytesPerSecond = 200e6;
constexpr int kCopies = 2;  // one to keep, one to use

// Files of an entry that lie in a part, by their paths below the part.
std::set<std::string> FilesOf(const KeptSteps& description, absl::string_view part) {
  const std::string prefix = absl::StrCat(part.substr(1), "/");
  std::set<std::string> files;
  for (const std::string& file : description.files())
    if (absl::StartsWith(file, prefix)) files.insert(file.substr(prefix.size()));
  return files;
}

absl::StatusOr<TreeSize> SizeOf(const std::vector<BuildPlace>& places) {
  TreeSize size;
  for (const BuildPlace& place : places) {
    RISEML_ASSIGN_OR_RETURN(const TreeSize part, MeasureTree(place.directory, place.is_made));
    size.files += part.files;
    size.bytes += part.bytes;
  }
  return size;
}

}  // namespace

int StepsKept(const internal::v1::RunPlan& plan, const std::string& directory) {
  for (int steps = plan.build_steps_size(); steps > 0; --steps) {
    const std::string& key = plan.build_steps(steps - 1).prefix_key();
    if (IsStepKey(key) && HasKeptSteps(directory, key)) return steps;
  }
  return 0;
}

absl::Duration ExpectedCopy(const TreeSize& size) {
  return absl::Seconds(static_cast<double>(size.files) / kFilesPerSecond +
                       static_cast<double>(size.bytes) / kBytesPerSecond);
}

bool IsWorthKeeping(absl::Duration took, const TreeSize& size) { return took >= kCopies * ExpectedCopy(size); }

std::string NameSteps(int steps, int total) {
  return steps == 1 ? absl::StrCat("Step 1 of ", total, " is") : absl::StrCat("Steps 1-", steps, " of ", total, " are");
}

std::string StepCache::EnvironmentKey() const { return fs::path(reuse().environment()).filename().string(); }

absl::Status StepCache::Begin(absl::Time began, absl::Time now) {
  counted_from_ = now;
  // Only bash can print all the state of its shell.
  if (!plan_.has_step_reuse() || !absl::EndsWith(shell_, "bash")) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(places_, BuildPlaces::Look(plan_, began));
  return absl::OkStatus();
}

bool StepCache::IsAnew() const {
  return plan_.has_step_reuse() &&
         std::ranges::any_of(plan_.build_steps(), [](const auto& step) { return step.anew(); });
}

// A removal that fails does not stop the others.
absl::Status StepCache::RemoveKept() const {
  absl::Status first;
  for (const internal::v1::BuildStep& step : plan_.build_steps())
    if (IsStepKey(step.prefix_key())) first.Update(RemoveKeptSteps(reuse().directory(), step.prefix_key()));
  return first;
}

absl::StatusOr<int> StepCache::Prepare(absl::Time now) const {
  const int steps = StepsKept(plan_, reuse().directory());
  if (steps == 0) return 0;
  if (IsAnew()) {
    RISEML_RETURN_IF_ERROR(RemoveKept());
    return 0;
  }
  RISEML_ASSIGN_OR_RETURN(const HeldKeptSteps kept, HoldKeptSteps(reuse().directory(), KeyOf(steps), now));
  RISEML_RETURN_IF_ERROR(Use(steps, kept));
  return steps;
}

absl::Status StepCache::Use(int steps, const HeldKeptSteps& kept) const {
  RISEML_RETURN_IF_ERROR(places_->CheckForConflicts(kept.path + kKeptCode));
  const std::string& build = kept.description.built_by();
  RISEML_RETURN_IF_ERROR(
      WriteAll(output_, absl::StrCat("==> ", NameSteps(steps, plan_.build_steps_size()), " reused: built by ",
                                     build.empty() ? "an earlier build" : build, "\n")));
  RISEML_RETURN_IF_ERROR(RunReuseCommands(steps));
  RISEML_RETURN_IF_ERROR(places_->ClearEnvironment());
  const Replacement replacement{kept.description.environment_key(), EnvironmentKey()};
  for (const BuildPlace& place : places_->All())
    RISEML_RETURN_IF_ERROR(CopyTree(
        absl::StrCat(kept.path, place.part), place.directory,
        {.wants = nullptr, .replacement = replacement, .files = FilesOf(kept.description, place.part), .stop = {}}));
  return TakeState(kept, replacement);
}

absl::Status StepCache::RunReuseCommands(int steps) const {
  std::string commands;
  for (int step = 0; step < steps; ++step)
    if (const std::string& command = plan_.build_steps(step).reuse_command(); !command.empty())
      absl::StrAppend(&commands, command, "\n");
  if (commands.empty()) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const pid_t pid, StartShellProcess(plan_, {shell_, "-e", "-c", commands}, output_));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0 ? absl::OkStatus() : absl::InternalError("what runs before them failed");
}

// The state of the earlier build's shell, without the variables that only that build was given.
absl::Status StepCache::TakeState(const HeldKeptSteps& kept, const Replacement& replacement) const {
  std::error_code error;
  if (!fs::is_directory(replacement.In(kept.description.directory()), error))
    return absl::FailedPreconditionError("the project has no longer the directory that they change to");
  RISEML_ASSIGN_OR_RETURN(const std::string state, ReadFile(kept.path + kKeptState, kMaxStateBytes));
  ShellVariables before;
  for (const auto& [name, value] : kept.description.environment()) before[name] = replacement.In(value);
  const ShellVariables now(plan_.environment().begin(), plan_.environment().end());
  RISEML_RETURN_IF_ERROR(MakeDirectories(session_, 0700));
  return WriteFileAtomically(absl::StrCat(session_, "/", kShellState),
                             StateWithVariables(replacement.In(state), before, now), 0600);
}

bool StepCache::MayKeep(int steps, pid_t shell, absl::Time now) const {
  if (!places_ || steps < 1 || !IsStepKey(KeyOf(steps))) return false;
  if (now - counted_from_ < FromProtoDuration(reuse().least_time())) return false;
  if (HasKeptSteps(reuse().directory(), KeyOf(steps))) return false;
  // A step that is reused could not bring back its process in the background.
  return std::ranges::all_of(Descendants(getpid()), [shell](pid_t pid) { return pid == shell; });
}

absl::Status StepCache::CheckRoom(const TreeSize& size) const {
  if (size.bytes > reuse().bytes_limit())
    return Error(Reason::kLimitExceeded, absl::StrCat("they make ", PrintBytes(size.bytes), ", more than the ",
                                                      PrintBytes(reuse().bytes_limit()), " that are kept for a user"));
  struct statfs disk {};
  if (statfs(reuse().environment().c_str(), &disk) != 0) return ErrnoError(errno, "look at the disk");
  const std::int64_t free = static_cast<std::int64_t>(disk.f_bavail) * disk.f_bsize;
  const std::int64_t reserve = static_cast<std::int64_t>(disk.f_blocks) / kFreeShare * disk.f_bsize;
  if (free - size.bytes < reserve)
    return Error(Reason::kDiskFull,
                 absl::StrCat("they make ", PrintBytes(size.bytes), ", and the disk has ", PrintBytes(free), " left"));
  return absl::OkStatus();
}

absl::StatusOr<KeptSteps> StepCache::Describe(const NewKeptSteps& kept, pid_t shell) const {
  KeptSteps description;
  std::error_code error;
  description.set_directory(fs::read_symlink(absl::StrCat("/proc/", shell, "/cwd"), error).string());
  if (error) return ErrnoError(error.value(), "find the working directory of the shell");
  description.set_environment_key(EnvironmentKey());
  *description.mutable_environment() = plan_.environment();
  if (const auto job = plan_.environment().find("RISEML_JOB"); job != plan_.environment().end())
    description.set_built_by(job->second);
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesHolding(kept.path(), EnvironmentKey()));
  description.mutable_files()->Assign(files.begin(), files.end());
  return description;
}

absl::StatusOr<std::string> StepCache::Keep(int steps, pid_t shell, absl::Time now) const {
  RISEML_ASSIGN_OR_RETURN(const std::vector<BuildPlace> places, places_->Made());
  RISEML_ASSIGN_OR_RETURN(const TreeSize size, SizeOf(places));
  if (reuse().has_least_time() && !IsWorthKeeping(now - counted_from_, size)) return std::string();
  RISEML_RETURN_IF_ERROR(CheckRoom(size));
  RISEML_ASSIGN_OR_RETURN(NewKeptSteps kept, NewKeptSteps::Create(reuse().directory()));
  for (const BuildPlace& place : places)
    RISEML_RETURN_IF_ERROR(CopyTree(place.directory, absl::StrCat(kept.path(), place.part),
                                    {.wants = place.is_made, .replacement = {}, .files = {}, .stop = {}}));
  RISEML_ASSIGN_OR_RETURN(const std::string state, ReadFile(absl::StrCat(session_, "/", kShellState), kMaxStateBytes));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(kept.path() + kKeptState, state, 0600));
  RISEML_ASSIGN_OR_RETURN(KeptSteps description, Describe(kept, shell));
  description.set_bytes(size.bytes);
  RISEML_RETURN_IF_ERROR(kept.Publish(description, KeyOf(steps)));
  const KeptLimits limits{.bytes = reuse().bytes_limit(), .age = FromProtoDuration(reuse().max_age())};
  // The new entry is kept even if the removal of older ones fails; the node trims them too.
  if (const absl::Status trimmed = TrimKeptSteps(reuse().directory(), limits, now); !trimmed.ok())
    LogWarning("kept_steps_not_trimmed", {{"error", std::string(trimmed.message())}});
  return absl::StrCat("==> ", NameSteps(steps, plan_.build_steps_size()), " kept for later builds (",
                      PrintBytes(size.bytes), ")\n");
}

}  // namespace riseml::agent
