#include "cli/commands/log_session.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "cli/client/experiments.h"
#include "cli/client/target.h"
#include "cli/render/live_line.h"
#include "cli/render/log_backlog.h"
#include "cli/render/log_view.h"
#include "cli/render/phases.h"
#include "cli/render/silence.h"
#include "cli/render/state.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);  // a wait without an event is simply begun again
constexpr absl::Duration kRedraw = absl::Seconds(1);     // of the live line
constexpr absl::Duration kLookAgain = absl::Seconds(10);

class LogSession {
 public:
  LogSession(Session& session, Connection& connection, Live& live, const LogRequest& request, ExperimentState& state)
      : session_(session),
        connection_(connection),
        live_(live),
        request_(request),
        state_(state),
        shown_(request.experiment),
        silence_(session.Now()),
        next_look_(session.Now() + kLookAgain),
        view_({.terminal = TerminalFor(session, request),
               .caller = connection.caller(),
               .timestamps = request.timestamps}) {
    shown_.root.Clear();
    if (request.job.empty()) view_.Expect(request.experiment);
  }

  absl::StatusOr<LogShown> Run() {
    if (!request_.raw) {
      for (const auto& [name, job] : state_.jobs) Note(name);
      while (!state_.synced && !state_.complete && !left_) RISEML_RETURN_IF_ERROR(Step());
      if (left_) return LogShown::kLeft;
      Tell();
    }
    RISEML_RETURN_IF_ERROR(Follow());
    while (!Done()) {
      RISEML_RETURN_IF_ERROR(Step());
      RISEML_RETURN_IF_ERROR(session_.output_status());
      if (left_) break;
    }
    if (!request_.raw) session_.Print(view_.Finish());
    if (request_.no_follow) TellOpenLogs();
    if (left_) return LogShown::kLeft;
    return damaged_ ? LogShown::kDamaged : LogShown::kAll;
  }

 private:
  static Terminal TerminalFor(const Session& session, const LogRequest& request) {
    Terminal terminal = session.out();
    terminal.color = terminal.color && request.color;
    return terminal;
  }

  absl::Status Follow() {
    RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection_.Cluster());
    v1::FollowRequest request;
    request.set_name(request_.job.empty() ? request_.experiment : request_.job);
    request.set_no_follow(request_.no_follow);
    if (request_.tail_lines) {
      request.set_tail_lines(*request_.tail_lines);
    } else {
      request.set_from_offset(request_.from_offset);
    }
    live_.Follow(cluster.loghandler_address(), request);
    return absl::OkStatus();
  }

  bool Done() const {
    if (!follow_over_) return false;
    if (request_.raw || request_.no_follow || state_.complete) return true;
    // The end of the experiment may arrive before those of its jobs; all are known when the watch is over.
    if (request_.job.empty()) return false;
    const auto job = state_.jobs.find(request_.job);
    return job != state_.jobs.end() && IsTerminal(job->second.state());
  }

  // Adds a job to the shown ones; if one job was chosen, ignores the others.
  void Note(const std::string& job) {
    if (!request_.job.empty() && job != request_.job) return;
    shown_.jobs[job] = state_.jobs[job];
    view_.Expect(job);
  }

  void Tell() {
    if (request_.raw) return;
    shown_.synced = state_.synced;
    if (request_.job.empty()) {
      shown_.root = state_.root;
      shown_.children = state_.children;
      shown_.complete = state_.complete;
      for (const auto& [name, child] : state_.children) view_.Expect(name);
    }
    session_.Print(view_.Show(states_.Update(shown_)));
    for (const auto& [name, job] : shown_.jobs) TellBacklog(job);
  }

  // Says once for each attempt that a part of its log is not stored yet.
  void TellBacklog(const v1::Job& job) {
    for (const v1::Attempt& attempt : job.attempts()) {
      const std::string text = BacklogText(attempt);
      if (text.empty() || !told_backlogs_.insert({job.uid(), attempt.number()}).second) continue;
      if (!request_.raw) session_.Print(view_.Clear());
      session_.Tell(
          absl::StrCat(ShownId(job.name(), connection_.caller()), ": ", text, "; it is shown once it is stored\n"));
    }
  }

  // Says which logs of ended jobs may get more: `--no-follow` stops where they are stored to.
  void TellOpenLogs() {
    for (const auto& [name, job] : shown_.jobs) {
      if (!IsTerminal(job.state()) || job.attempts().empty()) continue;
      const v1::Attempt& newest = *job.attempts().rbegin();
      if (newest.log_state() != v1::Attempt::OPEN) continue;
      const std::string id = ShownId(name, connection_.caller());
      session_.Tell(absl::StrCat("NOTE: the log of ", id, " is not stored to its end yet; `riseml logs ", id,
                                 "` waits for it\n"));
    }
  }

  // True while no watch says what becomes of the log: raw output has none, and a watch ends with the experiment.
  bool MustLook() const { return !request_.no_follow && !follow_over_ && (request_.raw || state_.complete); }

  void LookForBacklog() {
    next_look_ = session_.Now() + kLookAgain;
    // The log goes on without an answer.
    if (!request_.job.empty()) {
      if (const auto job = GetJob(connection_, request_.job); job.ok()) TellBacklog(*job);
    } else if (const auto experiment = GetExperiment(connection_, request_.experiment); experiment.ok()) {
      for (const v1::Job& job : experiment->jobs()) TellBacklog(job);
    }
  }

  absl::Status Step() {
    const bool follows = !request_.raw && !request_.no_follow;
    const bool draws = session_.out().tty && follows;
    const bool tells = !draws && follows && !PhasesAreOver(shown_);
    const absl::Duration patience = MustLook() ? kLookAgain : kPatience;
    const auto event = live_.Next(draws ? kRedraw : tells ? silence_.Left(session_.Now()) : patience);
    if (!event) {
      if (MustLook() && session_.Now() >= next_look_) LookForBacklog();
      const std::string line = LiveLine(shown_, connection_.caller(), session_.Now());
      if (draws) session_.Print(view_.DrawLive(line));
      if (tells && silence_.IsDue(session_.Now()) && !line.empty()) session_.Tell(absl::StrCat(line, "\n"));
      return absl::OkStatus();
    }
    silence_.Broken(session_.Now());
    next_look_ = session_.Now() + kLookAgain;
    return std::visit([this](const auto& what) { return On(what); }, *event);
  }

  // Tells how an earlier attempt ended: the watch reports only the state of the newest one.
  void TellEarlierAttempt(const v1::LogEnd& end) {
    const auto name = names_.find({end.job_uid(), end.attempt()});
    const auto job = name == names_.end() ? shown_.jobs.end() : shown_.jobs.find(name->second);
    if (job == shown_.jobs.end() || job->second.attempt_count() <= end.attempt()) return;
    const auto full = GetJob(connection_, job->first);
    if (!full.ok()) return;  // the log goes on without the explanation
    if (const auto line = EarlierAttempt(*full, end.attempt())) session_.Print(view_.Show({*line}));
  }

  absl::Status On(const v1::WatchExperimentResponse& change) {
    state_.Apply(change);
    if (change.has_job()) Note(change.job().name());
    if (state_.synced) Tell();
    return absl::OkStatus();
  }

  // Prints one line for a log that cannot be read any further; other logs continue.
  void TellDamaged(const v1::LogEnd& end) {
    damaged_ = true;
    if (!request_.raw) session_.Print(view_.Clear());
    const auto name = names_.find({end.job_uid(), end.attempt()});
    session_.Tell(absl::StrCat("ERROR: the log of ",
                               name == names_.end() ? end.job_uid() : ShownId(name->second, connection_.caller()),
                               " cannot be read beyond byte ", end.final_offset(), ": ", end.error(), "\n"));
  }

  absl::Status On(const v1::FollowResponse& response) {
    if (response.has_stream())
      names_[{response.stream().job_uid(), response.stream().attempt()}] = response.stream().job();
    if (response.has_end() && !response.end().error().empty()) TellDamaged(response.end());
    if (request_.raw) {
      if (response.has_chunk()) session_.Print(response.chunk().data());
      if (response.has_gap()) {
        session_.Tell(absl::StrCat("WARNING: ", response.gap().length(), " bytes of the log were lost on the node\n"));
      }
      if (response.has_end() && !response.end().complete() && response.end().error().empty()) {
        session_.Tell(absl::StrCat("WARNING: log is cut at ", response.end().final_offset(), " bytes: node lost\n"));
      }
      return absl::OkStatus();
    }
    session_.Print(view_.Show(response));
    if (response.has_end()) {
      TellEarlierAttempt(response.end());
      states_.OnLogEnd(response.end().job_uid(), response.end().attempt());
      Tell();
    }
    return absl::OkStatus();
  }

  absl::Status On(const Interrupted&) {
    left_ = true;
    return absl::OkStatus();
  }

  absl::Status On(const ConnectionLost&) {
    session_.Print(view_.Clear());
    session_.Tell("connection lost, reconnecting…\n");
    return absl::OkStatus();
  }

  absl::Status On(const ConnectionResumed&) {
    session_.Print(view_.Clear());
    session_.Tell("resumed, nothing lost\n");
    return absl::OkStatus();
  }

  absl::Status On(const WatchEnded& ended) {
    if (absl::IsNotFound(ended.status)) return NoSuchExperiment(connection_, request_.experiment);
    RISEML_RETURN_IF_ERROR(ended.status);
    state_.complete = true;
    Tell();
    return absl::OkStatus();
  }

  absl::Status On(const FollowEnded& ended) {
    if (absl::IsNotFound(ended.status)) {
      return request_.job.empty() ? NoSuchExperiment(connection_, request_.experiment)
                                  : NoSuchJob(connection_, request_.job);
    }
    RISEML_RETURN_IF_ERROR(ended.status);
    follow_over_ = true;
    states_.OnFollowEnd();
    if (!request_.raw) session_.Print(view_.Finish());
    Tell();
    return absl::OkStatus();
  }

  Session& session_;
  Connection& connection_;
  Live& live_;
  const LogRequest& request_;
  ExperimentState& state_;  // everything
  ExperimentState shown_;   // the requested part
  StateLines states_;
  Silence silence_;
  absl::Time next_look_;
  LogView view_;
  std::map<std::pair<std::string, int>, std::string> names_;  // of jobs, by uid and attempt
  std::set<std::pair<std::string, int>> told_backlogs_;
  bool damaged_ = false;
  bool follow_over_ = false;
  bool left_ = false;
};

}  // namespace

absl::StatusOr<LogShown> ShowLog(Session& session, Connection& connection, Live& live, const LogRequest& request,
                                 ExperimentState& state) {
  return LogSession(session, connection, live, request, state).Run();
}

void TellDetached(Session& session, const std::string& resource) {
  const std::string id = ShownId(resource, session.viewer().caller);
  const bool job = ParseJobName(resource).ok();
  session.Tell(absl::StrCat("\n", job ? "Job" : "Experiment", " will continue in background\nType `riseml logs ", id,
                            "` to connect to log stream again.\n"));
}

}  // namespace riseml::cli
