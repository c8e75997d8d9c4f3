// Tells api how much of a log waits to be stored, if that takes long, so that users see it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Part of a log that is not stored. Without bytes, only the end of the log is missing.
struct Backlog {
  std::int64_t bytes = 0;       // wait in the file
  std::int64_t lost_bytes = 0;  // did not fit into the file any more
  absl::Time oldest;            // when the first of them were printed, as far as this process has seen it
  bool operator==(const Backlog&) const = default;
};

// Reports a backlog; nothing: everything is stored. May block for some seconds.
using ReportBacklog = std::function<absl::Status(const std::optional<Backlog>& backlog)>;

struct BacklogTimes {
  absl::Duration patience = absl::Seconds(10);  // bytes that wait for less are not worth a word
  absl::Duration interval = absl::Seconds(30);  // between reports of a backlog that changes
  absl::Duration retry = absl::Seconds(15);     // after a failed report
};

// Reports on a thread of its own, so that a slow api does not hold up the log. Note is called by one thread.
class BacklogReports {
 public:
  // `told`: an earlier process has reported a backlog, which api still shows.
  BacklogReports(ReportBacklog report, BacklogTimes times, bool told);
  // Tries once more to report the end of a backlog.
  ~BacklogReports();

  // Notes what waits now.
  void Note(const std::optional<Backlog>& backlog, absl::Time now);

  // True if api shows a backlog, or may show one.
  bool told();

 private:
  void Run(const std::stop_token& stop);
  bool IsUntold() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return unclear_ || wanted_ != told_; }
  bool WaitForNews(const std::stop_token& stop);
  bool Tell();

  const ReportBacklog report_;
  const BacklogTimes times_;
  absl::Time next_ = absl::InfinitePast();  // report of a backlog
  Mutex mu_;
  std::condition_variable_any changed_;
  std::optional<Backlog> wanted_ ABSL_GUARDED_BY(mu_);
  std::optional<Backlog> told_ ABSL_GUARDED_BY(mu_);
  bool unclear_ ABSL_GUARDED_BY(mu_);  // what api shows is not known
  bool failing_ ABSL_GUARDED_BY(mu_) = false;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace riseml::agent
