// Progress of a start: the supervising process sends one line per event through a pipe, and the process at the terminal
// shows it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::supervisor {

enum class ProgressKind {
  kStep,    // a phase continues; text says what it does
  kDone,    // a phase is complete
  kNote,    // a sentence for the user
  kReady,   // everything is healthy
  kFailed,  // the start failed; text is the whole message
};

struct ProgressEvent {
  ProgressKind kind = ProgressKind::kNote;
  std::string phase;  // "certificates", "database", "services"; empty for the others
  std::string text;
};

std::string EncodeProgress(const ProgressEvent& event);  // one line with a newline
std::optional<ProgressEvent> DecodeProgress(absl::string_view line);

// Sends events, each once. It is no error if the terminal has gone away. Used by one thread.
class ProgressSender {
 public:
  explicit ProgressSender(UniqueFd pipe) : pipe_(std::move(pipe)) {}
  void Step(absl::string_view phase, absl::string_view text);
  void Done(absl::string_view phase);
  void Note(absl::string_view text);
  // The last event; nothing is sent after it.
  void Ready();
  void Failed(absl::string_view message);

 private:
  void Send(const ProgressEvent& event);
  UniqueFd pipe_;
  std::string last_step_;
  std::set<std::string> done_;
};

// Shows events: on a terminal one line per phase, redrawn while the phase continues; elsewhere one line for each
// completed phase.
class ProgressView {
 public:
  ProgressView(int fd, bool is_terminal) : fd_(fd), is_terminal_(is_terminal) {}
  void Show(const ProgressEvent& event);
  // Ends a line that is being redrawn.
  void EndLine();

 private:
  void Write(absl::string_view text);
  int fd_;
  bool is_terminal_;
  bool line_open_ = false;
};

// Shows events until the last one. Returns OK after kReady; an error after kFailed or if the pipe is closed before the
// last event.
absl::Status FollowProgress(int pipe, ProgressView& view, const std::string& log_file);

}  // namespace riseml::supervisor
