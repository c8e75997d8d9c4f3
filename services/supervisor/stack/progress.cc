#include "services/supervisor/stack/progress.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"

namespace riseml::supervisor {
namespace {

constexpr absl::string_view kKinds[] = {"step", "done", "note", "ready", "failed"};

}  // namespace

std::string EncodeProgress(const ProgressEvent& event) {
  return absl::StrCat(kKinds[static_cast<int>(event.kind)], "\t", absl::Utf8SafeCEscape(event.phase), "\t",
                      absl::Utf8SafeCEscape(event.text), "\n");
}

std::optional<ProgressEvent> DecodeProgress(absl::string_view line) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line, '\t');
  if (parts.size() != 3) return std::nullopt;
  ProgressEvent event;
  for (std::size_t i = 0; i < std::size(kKinds); ++i) {
    if (parts[0] != kKinds[i]) continue;
    event.kind = static_cast<ProgressKind>(i);
    if (!absl::CUnescape(parts[1], &event.phase) || !absl::CUnescape(parts[2], &event.text)) return std::nullopt;
    return event;
  }
  return std::nullopt;
}

void ProgressSender::Send(const ProgressEvent& event) {
  if (!pipe_.valid()) return;
  if (!WriteAll(pipe_.get(), EncodeProgress(event)).ok()) pipe_.Reset();
}

void ProgressSender::Step(absl::string_view phase, absl::string_view text) {
  std::string step = absl::StrCat(phase, "\t", text);
  if (step == last_step_) return;
  last_step_ = std::move(step);
  Send({ProgressKind::kStep, std::string(phase), std::string(text)});
}

void ProgressSender::Done(absl::string_view phase) {
  if (done_.insert(std::string(phase)).second) Send({ProgressKind::kDone, std::string(phase), ""});
}
void ProgressSender::Note(absl::string_view text) { Send({ProgressKind::kNote, "", std::string(text)}); }

void ProgressSender::Ready() {
  Send({ProgressKind::kReady, "", ""});
  pipe_.Reset();
}

void ProgressSender::Failed(absl::string_view message) {
  Send({ProgressKind::kFailed, "", std::string(message)});
  pipe_.Reset();
}

void ProgressView::Write(absl::string_view text) {
  // Ignores errors: if progress cannot be shown, there is nowhere to report that.
  [[maybe_unused]] const absl::Status ignored = WriteAll(fd_, text);
}

void ProgressView::EndLine() {
  if (line_open_) Write("\n");
  line_open_ = false;
}

void ProgressView::Show(const ProgressEvent& event) {
  switch (event.kind) {
    case ProgressKind::kStep:
      if (!is_terminal_) return;
      Write(absl::StrFormat("\r\033[K%-14s%s", event.phase, event.text));
      line_open_ = true;
      return;
    case ProgressKind::kDone:
      Write(absl::StrFormat("%s%-14sready\n", line_open_ ? "\r\033[K" : "", event.phase));
      line_open_ = false;
      return;
    case ProgressKind::kNote:
      Write(absl::StrCat(line_open_ ? "\r\033[K" : "", event.text, "\n"));
      line_open_ = false;
      return;
    case ProgressKind::kReady:
    case ProgressKind::kFailed:
      EndLine();
      return;
  }
}

absl::Status FollowProgress(int pipe, ProgressView& view, const std::string& log_file) {
  std::string pending;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(pipe, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    pending.append(buffer, n);
    std::size_t end = 0;
    while ((end = pending.find('\n')) != std::string::npos) {
      const std::optional<ProgressEvent> event = DecodeProgress(absl::string_view(pending).substr(0, end));
      pending.erase(0, end + 1);
      if (!event.has_value()) continue;
      view.Show(*event);
      if (event->kind == ProgressKind::kReady) return absl::OkStatus();
      if (event->kind == ProgressKind::kFailed) return absl::FailedPreconditionError(event->text);
    }
  }
  view.EndLine();
  return absl::UnavailableError(absl::StrCat("the supervising process ended without a word; see ", log_file));
}

}  // namespace riseml::supervisor
