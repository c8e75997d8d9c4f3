// AttemptReconciler: what each look at an attempt does.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/attempt/attempt_end.h"
#include "services/agent/launch/network.h"
#include "services/agent/launch/shares.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/process/process.h"
#include "services/agent/shell/command_sequence.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/backoff.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/status.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptEnded;
using internal::v1::LaunchRecord;
using internal::v1::Observation;
using internal::v1::StartAttemptRequest;

constexpr absl::Duration kSoon = absl::Milliseconds(20);     // while a change is expected
constexpr absl::Duration kStopMargin = absl::Seconds(20);    // beyond the grace period, before `run` itself is killed
constexpr absl::Duration kEndMargin = absl::Seconds(2);      // from the last record to the end of the processes
constexpr absl::Duration kPrepareLimit = absl::Minutes(10);  // for transient failures
constexpr int kDefaultGraceSeconds = 30;
constexpr int kMostForwardTries = 100;
constexpr std::size_t kTailBytes = 600;

std::string TailOf(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  if (!text.ok()) return "";
  return ForMessage(text->substr(text->size() > kTailBytes ? text->size() - kTailBytes : 0));
}

// UUID of the owner of an attempt; empty: unknown.
std::string OwnerOf(const absl::StatusOr<StartAttemptRequest>& start) {
  return start.ok() ? start->template_().owner_uid() : "";
}

absl::StatusOr<pid_t> HolderOf(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDWR | O_NOFOLLOW);
  if (HasReason(fd.status(), Reason::kNotFound)) return 0;
  RISEML_RETURN_IF_ERROR(fd.status());
  return LockHolder(fd->get());
}

absl::Duration PauseAfter(int failures) { return Backoff(failures, absl::Milliseconds(500), absl::Seconds(30)); }

// Returns the end that was requested for an attempt, whatever happens to its processes.
std::optional<AttemptEnded> WantedEnd(const AttemptDir& dir) {
  return FileExists(dir.stop()) ? StoppedOnRequest() : DecidedEnd(dir);
}

bool MayPass(const absl::Status& status) {
  return rpc::IsTransient(status) || status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

absl::Status AttemptReconciler::Sync(const std::string& key) {
  const std::optional<AttemptId> id = ParseAttemptId(key);
  if (!id || !FileExists(DirOf(*id).path())) return absl::OkStatus();
  const AttemptDir dir = DirOf(*id);
  // Without a watch (the system limits their number), the regular syncs find the changes.
  if (const absl::Status watched = watcher_->WatchFile(key, dir.journal()); !watched.ok())
    LogWarning("journal_not_watched", {{"attempt", key}, {"error", std::string(watched.message())}});
  // The lock must be checked first: once it is free, no other process writes to the journal.
  RISEML_ASSIGN_OR_RETURN(const pid_t holder, HolderOf(dir.journal()));
  RISEML_ASSIGN_OR_RETURN(const KnownAttempt known, Know(*id, dir));
  const JournalContent& journal = known.journal;
  Show(*id, dir, journal);
  if (journal.ended) return SyncEnded(*id, dir, *journal.ended);
  if (known.ending) return SyncEnding(*id, *known.ending);
  if (known.measuring) {
    meter_.Begin(*id, dir, [this, key] { queue_.Add(key); });
    return absl::OkStatus();
  }
  if (holder != 0) return SyncAlive(*id, dir, holder);
  return SyncIdle(*id, dir, journal.started.has_value());
}

absl::StatusOr<AttemptReconciler::KnownAttempt> AttemptReconciler::Know(const AttemptId& id,
                                                                        const AttemptDir& dir) const {
  KnownAttempt known;
  RISEML_ASSIGN_OR_RETURN(known.journal, ReadJournal(dir.journal()));
  if (!known.journal.ended) return known;
  const absl::StatusOr<LaunchRecord> launch = ReadMessage<LaunchRecord>(dir.launch());
  const bool alive = launch.ok() && launch->has_process() && OpenProcess(IdentityOf(launch->process())).ok();
  if (alive) known.ending = launch->process();
  known.measuring = !alive && !meter_.IsDone(id, dir, known.journal);
  if (alive || known.measuring) known.journal.ended.reset();
  return known;
}

// `run` ends at once after its last record; otherwise it is killed with the whole sandbox.
absl::Status AttemptReconciler::SyncEnding(const AttemptId& id, const internal::v1::ProcessId& process) {
  SyncState& state = SyncStateOf(id);
  absl::StatusOr<UniqueFd> fd = OpenProcess(IdentityOf(process));
  const absl::Time now = clock_.Now();
  state.end_seen = std::min(state.end_seen, now);
  if (!fd.ok()) {
    queue_.Add(Print(id));
    return absl::OkStatus();
  }
  if (now - state.end_seen >= kEndMargin) {
    LogWarning("attempt_killed_after_its_end", {{"attempt", Print(id)}, {"pid", process.pid()}});
    RISEML_RETURN_IF_ERROR(SignalProcess(*fd, SIGKILL));
  }
  queue_.AddAfter(Print(id), kEndMargin);
  if (state.watched_run == process.pid()) return absl::OkStatus();
  state.watched_run = process.pid();
  return watcher_->WatchProcess(Print(id), "run", *std::move(fd));
}

absl::Status AttemptReconciler::SyncEnded(const AttemptId& id, const AttemptDir& dir, const AttemptEnded&) {
  SyncState& state = SyncStateOf(id);
  if (!state.cleaned) {
    absl::StatusOr<StartAttemptRequest> start = ReadMessage<StartAttemptRequest>(dir.start());
    const std::string owner = OwnerOf(start);
    RISEML_RETURN_IF_ERROR(trash_.Take(dir.code(), owner));
    RISEML_RETURN_IF_ERROR(trash_.Take(dir.temporary(), owner));
    state.output.Reset();
    state.cleaned = true;
    if (start.ok())
      housekeeping_.Run(owner, [this, dir, job = std::move(*start->mutable_template_())] {
        launcher_.RemoveBuildRoot(dir);
        launcher_.LookAtKeptSteps(job, clock_.Now());
        launcher_.LookAtCache(job, clock_.Now());
      });
  }
  bool shipped = !FileExists(dir.start());  // a tombstone has nothing to ship
  if (!shipped) {
    const absl::StatusOr<internal::v1::ShipState> state = ReadMessage<internal::v1::ShipState>(dir.shipped());
    if (!state.ok() && !HasReason(state.status(), Reason::kNotFound)) return state.status();
    shipped = state.ok() && state->complete();
  }
  if (!shipped) return EnsureShip(id, dir);
  if (FileExists(dir.forget())) return Remove(id, dir);
  return absl::OkStatus();
}

absl::Status AttemptReconciler::Remove(const AttemptId& id, const AttemptDir& dir) {
  RISEML_RETURN_IF_ERROR(trash_.Take(dir.path(), OwnerOf(ReadMessage<StartAttemptRequest>(dir.start()))));
  watcher_->Forget(Print(id));
  meter_.Forget(id);
  table_.Remove(id);
  {
    MutexLock lock(mu_);
    sync_states_.erase(id);
  }
  LogInfo("attempt_forgotten", {{"attempt", Print(id)}});
  return absl::OkStatus();
}

absl::Status AttemptReconciler::SyncAlive(const AttemptId& id, const AttemptDir& dir, pid_t holder) {
  SyncState& state = SyncStateOf(id);
  const absl::StatusOr<internal::v1::ProcessId> process = Identify(holder);
  const absl::StatusOr<UniqueFd> fd = process.ok() ? OpenProcess(IdentityOf(*process)) : process.status();
  if (!fd.ok()) {  // it is just ending
    queue_.AddAfter(Print(id), kSoon);
    return absl::OkStatus();
  }
  if (state.watched_run != holder) {
    LaunchRecord launch = ReadMessage<LaunchRecord>(dir.launch()).value_or(LaunchRecord());
    launch.set_boot_id(boot_id_);
    *launch.mutable_process() = *process;
    RISEML_RETURN_IF_ERROR(WriteMessage(dir.launch(), launch));
    RISEML_ASSIGN_OR_RETURN(UniqueFd watched, OpenProcess(IdentityOf(*process)));
    RISEML_RETURN_IF_ERROR(watcher_->WatchProcess(Print(id), "run", std::move(watched)));
    state.watched_run = holder;
  }
  HoldOutputOf(state, dir);
  if (FileExists(dir.end())) return SignalProcess(*fd, SIGKILL);
  RISEML_RETURN_IF_ERROR(EnsureShip(id, dir));
  if (!state.forwarded) ForwardPortOf(id, dir, state);
  if (!FileExists(dir.stop())) return absl::OkStatus();
  const absl::Time now = clock_.Now();
  state.stop_seen = std::min(state.stop_seen, now);
  const StartAttemptRequest start = ReadMessage<StartAttemptRequest>(dir.start()).value_or(StartAttemptRequest());
  const int grace = start.grace().seconds() > 0 ? static_cast<int>(start.grace().seconds()) : kDefaultGraceSeconds;
  const bool overdue = now - state.stop_seen > absl::Seconds(grace) + kStopMargin;
  return SignalProcess(*fd, overdue ? SIGKILL : SIGTERM);
}

absl::Status AttemptReconciler::SyncIdle(const AttemptId& id, const AttemptDir& dir, bool started) {
  const std::future<absl::Status>& preparation = SyncStateOf(id).preparation;
  if (preparation.valid() && preparation.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    return absl::OkStatus();
  const absl::StatusOr<LaunchRecord> launch = ReadMessage<LaunchRecord>(dir.launch());
  if (!launch.ok() && !HasReason(launch.status(), Reason::kNotFound))
    return End(id, dir, EndOf(Observation::LOST, "DAMAGED", launch.status().message()));
  const std::optional<AttemptEnded> wanted = WantedEnd(dir);
  if (launch.ok() && launch->boot_id() != boot_id_)
    return End(id, dir, wanted.value_or(EndOf(Observation::LOST, "NODE_LOST", "the node was restarted")));
  if (launch.ok() && launch->has_process()) {
    // The process is starting and has not locked its journal yet, or is ending while its last processes are being
    // killed.
    if (const absl::StatusOr<UniqueFd> alive = OpenProcess(IdentityOf(launch->process())); alive.ok()) {
      queue_.AddAfter(Print(id), kSoon);
      return absl::OkStatus();
    }
  }
  if (started) {
    if (launch.ok() && launch->isolation() == kIsolationNone)
      RISEML_RETURN_IF_ERROR(KillProcessesWithVariable(launcher_.Cookie(dir)));
    RISEML_RETURN_IF_ERROR(MakeRoom(dir));
    return End(id, dir,
               wanted.value_or(EndOf(Observation::LOST, "AGENT_LOST",
                                     "the program that runs the commands (riseml-job) was killed")));
  }
  if (wanted) return End(id, dir, *wanted);
  if (launch.ok() && launch->has_process()) {
    RISEML_ASSIGN_OR_RETURN(const bool may_start, MayStillStart(id, *launch));
    if (may_start) {
      queue_.AddAfter(Print(id), kSoon);
      return absl::OkStatus();
    }
    return End(id, dir,
               EndOf(Observation::START_FAILED, "START_FAILED",
                     absl::StrCat("the job could not be started: ", TailOf(dir.run_log()))));
  }
  return Launch(id, dir);
}

// On a full disk there is room to record the end only after the attempt's own files are removed.
absl::Status AttemptReconciler::MakeRoom(const AttemptDir& dir) {
  if (!FileExists(dir.end())) return absl::OkStatus();
  const std::string owner = OwnerOf(ReadMessage<StartAttemptRequest>(dir.start()));
  RISEML_RETURN_IF_ERROR(trash_.Take(dir.code(), owner));
  return trash_.Take(dir.temporary(), owner);
}

absl::Status AttemptReconciler::Launch(const AttemptId& id, const AttemptDir& dir) {
  const absl::StatusOr<StartAttemptRequest> start = ReadMessage<StartAttemptRequest>(dir.start());
  if (!start.ok()) return End(id, dir, EndOf(Observation::LOST, "DAMAGED", start.status().message()));
  const absl::Status prepared = PrepareAndStart(id, dir, *start);
  return prepared.ok() ? prepared : OnPrepareFailed(id, dir, prepared);
}

absl::Status AttemptReconciler::PrepareAndStart(const AttemptId& id, const AttemptDir& dir,
                                                const StartAttemptRequest& start) {
  SyncState& state = SyncStateOf(id);
  state.preparing_since = std::min(state.preparing_since, clock_.Now());
  if (!FileExists(dir.launch())) {
    if (!state.preparation.valid()) {
      BeginPreparation(id, dir, start);
      return absl::OkStatus();
    }
    RISEML_RETURN_IF_ERROR(state.preparation.get());
  }
  if (WantedEnd(dir)) {
    queue_.Add(Print(id));
    return absl::OkStatus();
  }
  // Written before the start, so that a restart of the machine is noticed. The journal ensures that nothing runs twice.
  LaunchRecord launch;
  launch.set_boot_id(boot_id_);
  launch.set_isolation(launcher_.IsolationOf(start));
  RISEML_RETURN_IF_ERROR(WriteMessage(dir.launch(), launch));
  RISEML_ASSIGN_OR_RETURN(const pid_t pid, launcher_.StartRun(dir, start));
  HoldOutputOf(state, dir);
  if (const absl::StatusOr<internal::v1::ProcessId> process = Identify(pid); process.ok()) {
    *launch.mutable_process() = *process;
  } else {  // already ended; the pid is enough to record the start
    launch.mutable_process()->set_pid(pid);
  }
  RISEML_RETURN_IF_ERROR(WriteMessage(dir.launch(), launch));
  metrics_.started.Increment();
  LogInfo("attempt_started", {{"attempt", Print(id)}, {"pid", pid}, {"isolation", launch.isolation()}});
  queue_.Add(Print(id));
  return absl::OkStatus();
}

// Runs in the background, since a download may take minutes. The attempt is synced again when it is over.
void AttemptReconciler::BeginPreparation(const AttemptId& id, const AttemptDir& dir, const StartAttemptRequest& start) {
  SyncState& state = SyncStateOf(id);
  auto done = std::make_shared<std::promise<absl::Status>>();
  state.preparation = done->get_future();
  preparations_.Run(start.template_().owner_uid(), [this, id, dir, start, done, cancelled = state.cancel.get_token()] {
    done->set_value(launcher_.Prepare(dir, start, cancelled));
    queue_.Add(Print(id));
  });
}

absl::Status AttemptReconciler::OnPrepareFailed(const AttemptId& id, const AttemptDir& dir, const absl::Status& why) {
  SyncState& state = SyncStateOf(id);
  if (const auto wanted = WantedEnd(dir)) return End(id, dir, *wanted);
  const bool again = MayPass(why) || state.cancel.stop_requested();
  if (again && clock_.Now() - state.preparing_since < kPrepareLimit) {
    if (state.prepare_failures == 0)
      LogWarning("prepare_waits", {{"attempt", Print(id)}, {"error", std::string(why.message())}});
    queue_.AddAfter(Print(id), PauseAfter(state.prepare_failures++));
    return absl::OkStatus();
  }
  LogWarning("prepare_failed", {{"attempt", Print(id)}, {"error", why.ToString()}});
  const std::string reason = HasReason(why, Reason::kDiskFull) ? "DISK_FULL" : "PREPARE_FAILED";
  const bool own_fault = why.code() == absl::StatusCode::kInvalidArgument || why.code() == absl::StatusCode::kNotFound;
  return End(id, dir,
             EndOf(Observation::START_FAILED, reason, ForMessage(std::string(why.message())),
                   own_fault ? v1::Attempt::USER_ERROR : v1::Attempt::INFRASTRUCTURE));
}

// Makes the job's PORT reachable from the machine. The network of the job is ready shortly after the job itself. Podman
// does that for its containers.
void AttemptReconciler::ForwardPortOf(const AttemptId& id, const AttemptDir& dir, SyncState& state) {
  const auto plan = ReadMessage<internal::v1::RunPlan>(dir.run_plan());
  int port = 0;
  // The job can change its plan, so it must not get a port that a service of the platform may listen on.
  const bool wanted = plan.ok() && plan->own_network() && plan->environment().contains("PORT") &&
                      absl::SimpleAtoi(plan->environment().at("PORT"), &port) && IsJobPort(port);
  const absl::Status forwarded = wanted ? ForwardPort(dir.path(), port) : absl::OkStatus();
  if (absl::IsUnavailable(forwarded) && ++state.forward_tries < kMostForwardTries) {
    queue_.AddAfter(Print(id), kSoon);
    return;
  }
  if (!forwarded.ok())
    LogWarning("port_not_forwarded", {{"attempt", Print(id)}, {"error", std::string(forwarded.message())}});
  state.forwarded = true;
}

// Holds the pipe, so that the output of a job survives a sudden death of its `run`.
void AttemptReconciler::HoldOutputOf(SyncState& state, const AttemptDir& dir) {
  if (state.output.valid()) return;
  if (absl::StatusOr<UniqueFd> held = HoldOutput(dir.output()); held.ok()) state.output = *std::move(held);
}

absl::Status AttemptReconciler::End(const AttemptId& id, const AttemptDir& dir, AttemptEnded ended) {
  SyncState& state = SyncStateOf(id);
  if (state.output.valid()) {  // bytes that `run` can no longer copy
    RISEML_ASSIGN_OR_RETURN(const UniqueFd log_file, OpenFile(dir.log(), O_WRONLY | O_APPEND | O_NOFOLLOW));
    RISEML_RETURN_IF_ERROR(OutputPipe(state.output.get(), log_file.get()).Copy());
    state.output.Reset();
  }
  *ended.mutable_time() = ToProtoTime(clock_.Now());
  struct stat log {};
  ended.set_final_offset(stat(dir.log().c_str(), &log) == 0 ? log.st_size : 0);
  const absl::StatusOr<AttemptEnded> recorded = EndJournal(dir.journal(), ended);
  queue_.Add(Print(id));
  if (recorded.status().code() == absl::StatusCode::kFailedPrecondition) return absl::OkStatus();  // it still lives
  RISEML_RETURN_IF_ERROR(recorded.status());
  if (recorded->event() != Observation::STOPPED) metrics_.lost.Increment();
  LogInfo("attempt_ended_here",
          {{"attempt", Print(id)}, {"reason", recorded->reason()}, {"message", recorded->message()}});
  return Publish(id, dir);
}

absl::Status AttemptReconciler::EnsureShip(const AttemptId& id, const AttemptDir& dir) {
  SyncState& state = SyncStateOf(id);
  RISEML_ASSIGN_OR_RETURN(const pid_t holder, HolderOf(dir.ship_lock()));
  const absl::Time now = clock_.Now();
  if (holder == 0) {
    if (now < state.next_ship) {
      queue_.AddAfter(Print(id), state.next_ship - now);
      return absl::OkStatus();
    }
    // The next one is started only after a pause: this one has no lock yet, and one that dies at once must not be
    // restarted in a loop.
    const absl::Duration pause = PauseAfter(state.ship_failures++);
    state.next_ship = now + pause;
    state.watched_ship = 0;
    RISEML_RETURN_IF_ERROR(launcher_.StartShip(dir).status());
    metrics_.ships_started.Increment();
    queue_.AddAfter(Print(id), pause);
    return absl::OkStatus();
  }
  if (state.watched_ship == holder) return absl::OkStatus();
  const absl::StatusOr<internal::v1::ProcessId> process = Identify(holder);
  absl::StatusOr<UniqueFd> fd = process.ok() ? OpenProcess(IdentityOf(*process)) : process.status();
  if (!fd.ok()) {
    queue_.AddAfter(Print(id), kSoon);
    return absl::OkStatus();
  }
  state.watched_ship = holder;
  return watcher_->WatchProcess(Print(id), "ship", *std::move(fd));
}

}  // namespace riseml::agent
