#include "cli/client/prompt.h"

#include <errno.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kMaxLine = 4096;
constexpr char kInterruptedPayload[] = "riseml/interrupted";
constexpr char kInterrupt = 3, kEndOfInput = 4, kBackspace = 8, kDelete = 127;

// Turns echo, line editing and signal keys off while it lives.
class QuietTerminal {
 public:
  QuietTerminal() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    active_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (!active_) return;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    (void)WriteAll(STDERR_FILENO, "\n");
  }
  bool active() const { return active_; }

 private:
  termios before_ = {};
  bool active_ = false;
};

// Reads a line. Returns CANCELLED at the end of the input and, with a payload, for Ctrl-C.
absl::StatusOr<std::string> Read(bool keys) {
  std::array<char, kMaxLine> line;
  std::size_t size = 0;
  char c = 0;
  while (size < line.size()) {
    const ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 && size == 0) return absl::CancelledError("Nothing was typed; nothing was changed.");
    if (n <= 0) break;
    if (keys && c == kEndOfInput) return absl::CancelledError("Nothing was typed; nothing was changed.");
    if (keys && c == kInterrupt) {
      absl::Status interrupted = absl::CancelledError("Interrupted; nothing was changed.");
      interrupted.SetPayload(kInterruptedPayload, absl::Cord());
      return interrupted;
    }
    if (c == '\n' || (keys && c == '\r')) break;
    if (keys && (c == kBackspace || c == kDelete)) {
      if (size > 0) --size;
      continue;
    }
    if (c != '\r') line[size++] = c;
  }
  return std::string(line.data(), size);
}

}  // namespace

absl::StatusOr<std::string> ReadLine() { return Read(false); }

absl::StatusOr<std::string> ReadSecret() {
  const QuietTerminal quiet;
  return Read(quiet.active());
}

bool IsInterrupted(const absl::Status& status) { return status.GetPayload(kInterruptedPayload).has_value(); }

absl::Status Confirm(const std::string& question) {
  if (isatty(STDIN_FILENO) != 1)
    return absl::InvalidArgumentError(
        absl::StrCat("cannot ask '", question, "': standard input is not a terminal; add --yes"));
  (void)WriteAll(STDERR_FILENO, absl::StrCat(question, " [y/N] "));
  const std::string answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(ReadLine().value_or("")));
  if (answer == "y" || answer == "yes") return absl::OkStatus();
  return absl::CancelledError("Nothing was changed.");
}

}  // namespace riseml::cli
