#include "services/agent/node/attempt_reconciler.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/attempt/attempt_end.h"
#include "services/agent/attempt/attempt_status.h"
#include "services/agent/disk/disk_guard.h"
#include "services/agent/disk/disk_use.h"
#include "services/agent/launch/container.h"
#include "services/agent/launch/podman.h"
#include "services/agent/process/process.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using internal::v1::AttemptEnded;
using internal::v1::AttemptStatus;
using internal::v1::Observation;
using internal::v1::StartAttemptRequest;

constexpr absl::Duration kLookAgain = absl::Seconds(5);     // even without an event
constexpr absl::Duration kStartMargin = absl::Seconds(10);  // from a failed start to that of another container
// Unpacking may take minutes. One of four preparations is always free for a user who has none.
constexpr FairExecutorOptions kPreparations{.threads = 4, .most_per_owner = 3};
constexpr FairExecutorOptions kHousekeeping{.threads = 2, .most_per_owner = 1, .background = true};
constexpr char kEpochFile[] = "/epoch";  // no attempt has this name

}  // namespace

AttemptReconciler::AttemptReconciler(std::string directory, const Launcher& launcher, const v1::Node& node,
                                     AttemptTable& table, AgentMetrics& metrics, const Clock& clock,
                                     std::string boot_id, std::int64_t epoch)
    : directory_(std::move(directory)),
      launcher_(launcher),
      table_(table),
      metrics_(metrics),
      clock_(clock),
      boot_id_(std::move(boot_id)),
      fence_(directory_ + kEpochFile, epoch),
      holdings_(node),
      trash_(directory_),
      queue_(clock),
      preparations_(kPreparations),
      housekeeping_(kHousekeeping),
      meter_(launcher) {}

absl::StatusOr<std::unique_ptr<AttemptReconciler>> AttemptReconciler::Start(std::string directory,
                                                                            const Launcher& launcher,
                                                                            const v1::Node& node, AttemptTable& table,
                                                                            AgentMetrics& metrics, const Clock& clock,
                                                                            int workers) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  RISEML_ASSIGN_OR_RETURN(std::string boot_id, BootId());
  RISEML_ASSIGN_OR_RETURN(const std::int64_t epoch, EpochFence::Read(directory + kEpochFile));
  std::unique_ptr<AttemptReconciler> reconciler(
      new AttemptReconciler(std::move(directory), launcher, node, table, metrics, clock, std::move(boot_id), epoch));
  RISEML_ASSIGN_OR_RETURN(reconciler->watcher_, ProcessWatcher::Start([raw = reconciler.get()](const std::string& key) {
                            raw->queue_.Add(key);
                          }));
  RISEML_RETURN_IF_ERROR(reconciler->Scan());
  for (int i = 0; i < workers; ++i)
    reconciler->threads_.emplace_back([raw = reconciler.get()](std::stop_token stop) { raw->Work(stop); });
  reconciler->threads_.emplace_back([raw = reconciler.get()](std::stop_token stop) { raw->LookAgainAtAll(stop); });
  if (launcher.podman() != nullptr)
    reconciler->housekeeping_.Run("", [raw = reconciler.get()] { raw->RemoveLeftContainers(raw->stop_.get_token()); });
  return reconciler;
}

AttemptReconciler::~AttemptReconciler() {
  for (std::jthread& thread : threads_) thread.request_stop();
  stop_.request_stop();
  {
    MutexLock lock(mu_);
    for (const auto& [id, state] : sync_states_) state->cancel.request_stop();
  }
  preparations_.Stop();
  housekeeping_.Stop();
  meter_.Stop();
  threads_.clear();
  watcher_.reset();
}

absl::Status AttemptReconciler::Scan() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, Trash::kPrefix)) continue;
    if (absl::StartsWith(name, ".")) {  // was never completed
      if (const absl::Status status = trash_.Take(entry.path().string(), ""); !status.ok())
        LogWarning("leftover_not_removed", {{"path", entry.path().string()}, {"error", status.message()}});
      continue;
    }
    const std::optional<AttemptId> id = ParseAttemptId(name);
    if (!id) continue;
    if (const auto start = ReadMessage<StartAttemptRequest>(DirOf(*id).start()); start.ok())
      holdings_.Adopt(*id, *start);  // Publish gives it back if the attempt has ended
    // Watchers see all attempts from the beginning.
    if (const absl::Status status = Publish(*id, DirOf(*id)); !status.ok())
      LogError("attempt_unreadable", {{"attempt", name}, {"error", std::string(status.message())}});
    queue_.Add(name);
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("list ", directory_));
  return absl::OkStatus();
}

// Removes containers that no live attempt has, such as after a crash of the machine: one that ends removes itself.
void AttemptReconciler::RemoveLeftContainers(const std::stop_token& stop) {
  const auto lives = [this](const std::optional<AttemptId>& id) {
    const std::optional<AttemptStatus> status = id ? table_.Find(*id) : std::nullopt;
    return status && status->phase() != AttemptStatus::ENDED;
  };
  const absl::StatusOr<std::vector<std::string>> names = launcher_.podman()->ListContainers(stop);
  if (!names.ok()) LogWarning("containers_not_listed", {{"error", std::string(names.status().message())}});
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const std::optional<AttemptId> id = ParseAttemptId(AttemptOfContainer(name));
    if (!id || lives(id)) continue;
    const absl::Status removed = launcher_.podman()->RemoveContainer(name, stop);
    if (!removed.ok()) LogWarning("container_not_removed", {{"error", std::string(removed.message())}});
  }
  for (const std::string& name : launcher_.podman()->ListBuildRoots())
    if (const std::optional<AttemptId> id = ParseAttemptId(name); id && !lives(id))
      launcher_.RemoveBuildRoot(DirOf(*id));
}

// A node that died while it started the container is followed by one that starts another. If that fails, as they share
// a port, the first one may still run the job.
absl::StatusOr<bool> AttemptReconciler::MayStillStart(const AttemptId& id, const internal::v1::LaunchRecord& launch) {
  SyncState& state = SyncStateOf(id);
  state.failed_start_seen = std::min(state.failed_start_seen, clock_.Now());
  if (launch.isolation() != kIsolationPodman || launcher_.podman() == nullptr ||
      clock_.Now() - state.failed_start_seen >= kStartMargin)
    return false;
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, launcher_.podman()->ListContainers({}));
  return std::ranges::any_of(names,
                             [&](const std::string& name) { return ParseAttemptId(AttemptOfContainer(name)) == id; });
}

void AttemptReconciler::LookAgainAtAll(std::stop_token stop) {
  while (Pause(stop, kLookAgain))
    for (const AttemptStatus& status : table_.List()) queue_.Add(Print(AttemptId{status.job_uid(), status.attempt()}));
}

void AttemptReconciler::Work(std::stop_token stop) {
  while (const std::optional<std::string> key = queue_.Get(stop)) {
    if (const absl::Status status = Sync(*key); !status.ok()) {
      metrics_.sync_failures.Increment();
      LogError("attempt_sync_failed", {{"attempt", *key}, {"error", status.ToString()}});
      queue_.AddAfter(*key, absl::Seconds(1));
    }
    queue_.Done(*key);
  }
}

AttemptReconciler::SyncState& AttemptReconciler::SyncStateOf(const AttemptId& id) {
  MutexLock lock(mu_);
  std::unique_ptr<SyncState>& state = sync_states_[id];
  if (state == nullptr) state = std::make_unique<SyncState>();
  return *state;
}

absl::Status AttemptReconciler::StartAttempt(const StartAttemptRequest& start) {
  const AttemptId id{start.job_uid(), start.attempt()};
  if (!IsUuid(id.job_uid) || id.attempt < 1)
    return Error(Reason::kInvalidArgument, "an attempt is named by the UUID of its job and a number from 1");
  RISEML_RETURN_IF_ERROR(fence_.Pass(start.epoch()));
  const AttemptDir dir = DirOf(id);
  if (FileExists(dir.path())) return absl::OkStatus();
  if (const std::int32_t newest = table_.NewestAttempt(id.job_uid); newest > id.attempt)
    return absl::FailedPreconditionError(
        absl::StrCat("attempt ", newest, " of job ", id.job_uid, " is known: ", id.attempt, " is out of date"));
  if (const std::optional<std::string> why = WhyDiskRefuses()) {
    LogWarning("attempt_rejected", {{"job", start.job()}, {"attempt", Print(id)}, {"why", *why}});
    // If the disk has no room for the record, the job does not fail: the start is tried again.
    const absl::Status recorded = RecordEnd(id, EndOf(Observation::REJECTED, "DISK_FULL", *why)).status();
    return recorded.ok() ? recorded : absl::UnavailableError(*why);
  }
  if (const std::optional<std::string> why = holdings_.Take(id, start)) {
    LogWarning("attempt_rejected", {{"job", start.job()}, {"attempt", Print(id)}, {"why", *why}});
    return RecordEnd(id, EndOf(Observation::REJECTED, "DOES_NOT_FIT", *why)).status();
  }
  const absl::StatusOr<bool> created = Launcher::CreateAttempt(directory_, id, start);
  if (!created.ok()) {
    if (!FileExists(dir.path())) holdings_.Release(id);
    return created.status();
  }
  if (!*created) return absl::OkStatus();
  LogInfo("attempt_accepted", {{"job", start.job()}, {"attempt", Print(id)}, {"role", start.role()}});
  RISEML_RETURN_IF_ERROR(Publish(id, dir));
  queue_.Add(Print(id));
  return absl::OkStatus();
}

absl::Status AttemptReconciler::StopAttempt(const AttemptId& id, std::int64_t epoch) {
  if (!IsUuid(id.job_uid) || id.attempt < 1)
    return Error(Reason::kInvalidArgument, "an attempt is named by the UUID of its job and a number from 1");
  RISEML_RETURN_IF_ERROR(fence_.Pass(epoch));
  RISEML_ASSIGN_OR_RETURN(const bool was_unknown, RecordEnd(id, StoppedOnRequest()));
  if (was_unknown) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(Mark(DirOf(id).stop()));
  CancelPreparation(id);
  queue_.Add(Print(id));
  return absl::OkStatus();
}

// Writes the file without waiting for the disk, which is full. That is safe: the file outlives this process, and no
// attempt outlives a crash of the machine.
absl::Status AttemptReconciler::EndAttempt(const AttemptId& id, const AttemptEnded& ended) {
  const AttemptDir dir = DirOf(id);
  const absl::Status written = WriteFileQuickly(dir.end(), ended.SerializeAsString(), 0600);
  if (!FileExists(dir.end())) return written;  // an empty file is enough
  CancelPreparation(id);
  queue_.Add(Print(id));
  return absl::OkStatus();
}

void AttemptReconciler::CancelPreparation(const AttemptId& id) {
  MutexLock lock(mu_);
  if (const auto it = sync_states_.find(id); it != sync_states_.end()) it->second->cancel.request_stop();
}

// nullopt if the disks have room for another attempt.
std::optional<std::string> AttemptReconciler::WhyDiskRefuses() const {
  for (const std::string& path : launcher_.WatchedDirectories(directory_)) {
    const absl::StatusOr<DiskSpace> space = SpaceAt(path);  // the output volume is made by the first attempt
    if (space.ok() && space->free < LeastForStarts(*space)) return WhyNoStarts(*space);
  }
  return std::nullopt;
}

// Records the end of an attempt that is unknown on this node. No effect and false for a known one.
absl::StatusOr<bool> AttemptReconciler::RecordEnd(const AttemptId& id, AttemptEnded ended) {
  *ended.mutable_time() = ToProtoTime(clock_.Now());
  RISEML_ASSIGN_OR_RETURN(const bool recorded, Launcher::CreateTombstone(directory_, id, ended));
  if (recorded) RISEML_RETURN_IF_ERROR(Publish(id, DirOf(id)));
  return recorded;
}

absl::Status AttemptReconciler::ForgetAttempts(const std::vector<AttemptId>& ids, std::int64_t epoch) {
  RISEML_RETURN_IF_ERROR(fence_.Pass(epoch));
  for (const AttemptId& id : ids) RISEML_RETURN_IF_ERROR(ForgetAttempt(id));
  return absl::OkStatus();
}

absl::Status AttemptReconciler::ForgetAttempt(const AttemptId& id) {
  const std::optional<AttemptStatus> status = table_.Find(id);
  if (!status || status->phase() != AttemptStatus::ENDED) return absl::OkStatus();
  const absl::Status marked = Mark(DirOf(id).forget());
  if (!marked.ok() && !HasReason(marked, Reason::kNotFound)) return marked;
  queue_.Add(Print(id));
  return absl::OkStatus();
}

absl::Status AttemptReconciler::Publish(const AttemptId& id, const AttemptDir& dir) {
  RISEML_ASSIGN_OR_RETURN(const KnownAttempt known, Know(id, dir));
  Show(id, dir, known.journal);
  return absl::OkStatus();
}

namespace {

// "PID@START" of the attempt's first process; empty before it has been started.
std::string ProcessUid(const AttemptDir& dir) {
  const auto launch = ReadMessage<internal::v1::LaunchRecord>(dir.launch());
  if (!launch.ok() || !launch->has_process()) return "";
  return absl::StrCat(launch->process().pid(), "@", launch->process().start_ticks());
}

}  // namespace

// Releases resources and seals the environment before the end is published.
void AttemptReconciler::Show(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal) {
  AttemptStatus status = ShownStatus(id, dir, journal);
  if (journal.ended) {
    if (const absl::Status settled = launcher_.SettleEnvironment(dir, *journal.ended); !settled.ok())
      LogWarning("environment_not_settled", {{"attempt", Print(id)}, {"error", std::string(settled.message())}});
    holdings_.Release(id);
    OutputMeter::Show(dir, &status);
  }
  holdings_.Show(id, &status);
  status.set_object_uid(ProcessUid(dir));
  table_.Set(id, status);
}

}  // namespace riseml::agent
