#include "services/supervisor/stack/supervised_unit.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/edge.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/process/kept_root.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kFirstProbe = absl::Milliseconds(10);
constexpr absl::Duration kSlowestStartProbe = absl::Milliseconds(200);
constexpr absl::Duration kHealthyProbe = absl::Seconds(10);
constexpr absl::Duration kSilentProbe = absl::Seconds(1);

}  // namespace

void SupervisedUnit::Go(UnitEvent event) {
  const std::optional<UnitState> next = Next(state_, event);
  if (!next.has_value()) return;
  if (*next != state_)
    LogInfo("unit_state", {{"unit", plan_.name}, {"from", Name(state_)}, {"to", Name(*next)}, {"pid", pid()}});
  state_ = *next;
}

void SupervisedUnit::ScheduleProbe(absl::Duration after, absl::Time now) {
  probe_interval_ = after;
  next_probe_ = now + after;
}

bool SupervisedUnit::Take(const config::v1::ProcessRecord& record, absl::StatusOr<UniqueFd> process, absl::Time now) {
  if (absl::IsPermissionDenied(process.status()))
    LogWarning("unit_not_adopted", {{"unit", plan_.name}, {"error", std::string(process.status().message())}});
  if (!process.ok()) return false;
  watch_ = *std::move(process);
  record_ = record;
  ++generation_;
  probing_ = false;
  healthy_since_.reset();
  Go(UnitEvent::kStarted);
  ScheduleProbe(kFirstProbe, now);
  return true;
}

bool SupervisedUnit::Adopt(absl::Time now) {
  const absl::StatusOr<config::v1::ProcessRecord> record = ReadRecord(layout_.ProcessFile(plan_.name));
  if (!record.ok() || record->signature() != plan_.signature || record->program() != FileIdentity(plan_.argv[0]))
    return false;
  return Take(*record, OpenRecordedHere(*record), now);
}

bool SupervisedUnit::AdoptAny(absl::Time now) {
  const absl::StatusOr<config::v1::ProcessRecord> record = ReadRecord(layout_.ProcessFile(plan_.name));
  return record.ok() && Take(*record, OpenRecordedHere(*record), now);
}

absl::StatusOr<UniqueFd> SupervisedUnit::OpenRecordedHere(const config::v1::ProcessRecord& record) const {
  RISEML_ASSIGN_OR_RETURN(const uid_t account, AccountOf(layout_));
  return OpenRecorded(record, account, layout_.Config(kNode));
}

absl::Status SupervisedUnit::Start(absl::Time now, const std::map<std::string, UniqueFd>& sockets) {
  config::v1::ProcessRecord record;
  record.set_program(FileIdentity(plan_.argv[0]));
  record.set_signature(plan_.signature);
  const auto keep = [&](pid_t pid) -> absl::Status {
    RISEML_RETURN_IF_ERROR(Identify(pid, record));
    return WriteRecord(layout_.PidFile(plan_.name), layout_.ProcessFile(plan_.name), record);
  };
  SpawnRequest request;
  request.argv = plan_.argv;
  request.environment = plan_.environment;
  request.log_file = layout_.LogFile(plan_.name);
  request.as_root = plan_.as_root;
  if (plan_.takes_sockets) {
    for (const auto& [listener, socket] : sockets) {
      request.passed.push_back(socket.get());
      request.environment.push_back(absl::StrCat(SocketVariable(listener), "=", socket.get()));
    }
  }
  const absl::StatusOr<pid_t> pid = Spawn(request, keep);
  if (pid.ok() && Take(record, OpenProcess(IdentityOf(record)), now)) return absl::OkStatus();
  // The process could not be started, or ended before it could be inspected.
  Go(UnitEvent::kStarted);
  record_ = record;
  Exited(pid.ok() ? "at once" : absl::string_view(pid.status().message()), now);
  return pid.status();
}

void SupervisedUnit::NotStarted(absl::Time now) {
  ++exits_;
  next_start_ = now + delay_.AfterExit(absl::ZeroDuration());
}

void SupervisedUnit::ProbeEnded(bool answered, absl::Time now) {
  probing_ = false;
  const UnitState before = state_;
  unanswered_ = answered ? 0 : unanswered_ + 1;
  Go(answered ? UnitEvent::kAnswered : UnitEvent::kUnanswered);
  if (state_ == UnitState::kHealthy && before != UnitState::kHealthy) healthy_since_ = now;
  if (state_ == UnitState::kHealthy) return ScheduleProbe(kHealthyProbe, now);
  if (state_ == UnitState::kSilent) return ScheduleProbe(kSilentProbe, now);
  ScheduleProbe(std::min(probe_interval_ * 5 / 4, kSlowestStartProbe), now);
}

void SupervisedUnit::Exited(absl::string_view how, absl::Time now) {
  const absl::Duration healthy_for = healthy_since_.has_value() ? now - *healthy_since_ : absl::ZeroDuration();
  if (state_ == UnitState::kStopping) {
    LogInfo("unit_stopped", {{"unit", plan_.name}, {"pid", pid()}, {"how", how}});
  } else {
    LogWarning("unit_died", {{"unit", plan_.name}, {"pid", pid()}, {"how", how}});
    ++exits_;
    next_start_ = now + delay_.AfterExit(healthy_for);
  }
  Go(UnitEvent::kExited);
  watch_.Reset();
  healthy_since_.reset();
  ++generation_;
  unanswered_ = 0;
  probing_ = false;
  next_probe_ = absl::InfiniteFuture();
  unlink(layout_.PidFile(plan_.name).c_str());
  unlink(layout_.ProcessFile(plan_.name).c_str());
}

void SupervisedUnit::Send(int signal) const {
  std::optional<AsRoot> root;
  if (plan_.as_root) root.emplace();
  SignalProcess(watch_, signal).IgnoreError();
}

void SupervisedUnit::Stop() {
  if (state_ == UnitState::kStopping) return;
  const bool runs = IsRunning(state_);
  Go(UnitEvent::kStop);
  next_probe_ = absl::InfiniteFuture();
  if (runs) Send(plan_.stop_signal);
}

}  // namespace riseml::supervisor
