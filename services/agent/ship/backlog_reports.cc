#include "services/agent/ship/backlog_reports.h"

#include <string>
#include <utility>

#include "services/agent/ship/result_delivery.h"
#include "services/common/base/log.h"
#include "services/common/base/threads/pause.h"

namespace riseml::agent {

BacklogReports::BacklogReports(ReportBacklog report, BacklogTimes times, bool told)
    : report_(std::move(report)),
      times_(times),
      unclear_(told),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

BacklogReports::~BacklogReports() {
  thread_ = {};
  bool untold = false;
  {
    MutexLock lock(mu_);
    untold = IsUntold() && !wanted_.has_value();
  }
  if (untold) Tell();
}

void BacklogReports::Note(const std::optional<Backlog>& backlog, absl::Time now) {
  const bool waits = backlog.has_value() && now - backlog->oldest >= times_.patience;
  MutexLock lock(mu_);
  if (waits ? now < next_ : !wanted_.has_value()) return;
  if (waits) next_ = now + times_.interval;
  wanted_ = waits ? backlog : std::nullopt;
  changed_.notify_all();
}

bool BacklogReports::told() {
  MutexLock lock(mu_);
  return unclear_ || wanted_.has_value() || told_.has_value();
}

void BacklogReports::Run(const std::stop_token& stop) {
  while (WaitForNews(stop)) {
    if (!Tell()) Pause(stop, times_.retry);
  }
}

bool BacklogReports::WaitForNews(const std::stop_token& stop) {
  MutexLock lock(mu_);
  const bool any = changed_.wait(mu_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return IsUntold(); });
  return any && !stop.stop_requested();
}

// Reports what is wanted. False: it is to be tried again.
bool BacklogReports::Tell() {
  std::optional<Backlog> wanted;
  {
    MutexLock lock(mu_);
    wanted = wanted_;
  }
  const absl::Status status = report_(wanted);
  MutexLock lock(mu_);
  if (status.ok() || IsRefusal(status)) {
    told_ = wanted;
    unclear_ = failing_ = false;
    return true;
  }
  if (!failing_) LogWarning("log_backlog_untold", {{"error", std::string(status.message())}});
  unclear_ = failing_ = true;
  return false;
}

}  // namespace riseml::agent
