#include "services/agent/shell/command_sequence.h"

#include <string.h>
#include <sys/wait.h>

#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptEnded;
using internal::v1::Observation;

constexpr std::int64_t kMegabyte = 1'000'000;  // as `mem` in riseml.yml
constexpr std::size_t kMaxLineBytes = 300;     // per line that a message quotes
constexpr int kCommandNotFound = 127;
constexpr char kNoShell[] = "the image has no shell (/bin/sh) to run commands with";
constexpr int kAptFailed = 100;
constexpr absl::string_view kAptHint =
    "==> apt-get cannot install system packages here: the environment is a directory of this user, not an image. Take "
    "a package from "
    "PyPI instead (many bring their libraries along), or ask the administrator to install the system package on the "
    "machine.\n";

bool IsApt(absl::string_view command) {
  command = absl::StripLeadingAsciiWhitespace(command);
  if (absl::ConsumePrefix(&command, "sudo ")) command = absl::StripLeadingAsciiWhitespace(command);
  return absl::StartsWith(command, "apt-get ") || absl::StartsWith(command, "apt ");
}

// Length of the valid UTF-8 sequence at the front, 0 when there is none.
std::size_t SequenceLength(absl::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80                    ? 1
                             : lead >= 0xC2 && lead <= 0xDF ? 2
                             : lead >= 0xE0 && lead <= 0xEF ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF0 && byte(1) < 0x90) ||
      (lead == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

// " (SIGSEGV: Segmentation fault)" for 139: shells report the end by a signal as 128 plus its number.
std::string SignalText(int exit_code) {
  constexpr int kShellBase = 128;
  const char* const name = exit_code > kShellBase ? sigabbrev_np(exit_code - kShellBase) : nullptr;
  if (name == nullptr) return "";
  return absl::StrCat(" (SIG", name, ": ", sigdescr_np(exit_code - kShellBase), ")");
}

bool IsOfManyLines(absl::string_view command) { return absl::StrContains(absl::StripAsciiWhitespace(command), '\n'); }

// Shortens a command of many lines to its first one.
std::string Short(absl::string_view command) {
  return IsOfManyLines(command) ? absl::StrCat(ForMessage(LineOf(command, FirstLineOf(command)), kMaxLineBytes), " …")
                                : ForMessage(absl::StripTrailingAsciiWhitespace(command));
}

}  // namespace

std::string LineOf(absl::string_view command, int number) {
  const std::vector<absl::string_view> lines = absl::StrSplit(command, '\n');
  return number < 1 || number > static_cast<int>(lines.size())
             ? std::string()
             : std::string(absl::StripAsciiWhitespace(lines[number - 1]));
}

int FirstLineOf(absl::string_view command) {
  int number = 1;
  for (absl::string_view line : absl::StrSplit(command, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && line[0] != '#') return number;
    ++number;
  }
  return 1;
}

std::string LastLineOf(absl::string_view output) {
  const std::vector<absl::string_view> lines = absl::StrSplit(output, absl::ByAnyChar("\n\r"));
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const absl::string_view text = absl::StripAsciiWhitespace(*line);
    if (absl::StartsWith(text, "==> ")) break;  // the product announced the step
    if (!text.empty()) return std::string(text);
  }
  return "";
}

std::string ForMessage(absl::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty() && out.size() < max_bytes) {
    const std::size_t length = SequenceLength(text);
    const bool control = length == 1 && absl::ascii_iscntrl(static_cast<unsigned char>(text[0]));
    if (length == 0)
      out += "?";
    else if (control)
      out += " ";
    else
      out.append(text.data(), length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  if (!text.empty()) out += "…";
  return out;
}

int ExitCodeOf(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::optional<Step> CommandSequence::Next() {
  if (IsDone() || cause_ != StopCause::kNone) return std::nullopt;
  running_ = next_++;
  const int steps = plan_.build_steps_size();
  if (!IsBuildStep(running_))
    return Step{
        .command = plan_.commands(running_ - steps), .number = running_ - steps + 1, .total = plan_.commands_size()};
  const internal::v1::BuildStep& step = plan_.build_steps(running_);
  return Step{.command = step.command(),
              .announcement = absl::StrCat("==> Step ", running_ + 1, "/", steps, ": ", ForMessage(step.title()), "\n"),
              .build = true,
              .number = running_ + 1,
              .total = steps};
}

std::string CommandSequence::Finished(const StepResult& result) {
  last_ = running_;
  running_ = -1;
  last_result_ = result;
  if (result.exit_code == 0) {
    const bool build_done = plan_.role() == "build" && next_ == Total();
    return build_done ? "==> Build process finished.\n" : "";
  }
  failed_ = true;
  if (!IsBuildStep(last_) || cause_ != StopCause::kNone) return "";
  const internal::v1::BuildStep& step = plan_.build_steps(last_);
  std::string text = absl::StrCat("==> Step ", last_ + 1, "/", plan_.build_steps_size(), " failed with exit code ",
                                  result.exit_code, ": ", ForMessage(step.title()), "\n");
  const bool apt = IsApt(step.command()) || IsApt(step.title());
  if (!result.hint.empty()) absl::StrAppend(&text, "==> ", result.hint, "\n");
  if (apt && (result.exit_code == kCommandNotFound || result.exit_code == kAptFailed)) absl::StrAppend(&text, kAptHint);
  return text;
}

std::string CommandSequence::FailWithoutShell() {
  failed_ = without_shell_ = true;
  return absl::StrCat("==> ", kNoShell, "\n");
}

std::string CommandSequence::MessageOf(int index, const StepResult& result) const {
  const int steps = plan_.build_steps_size();
  if (IsBuildStep(index) && result.exit_code == 0) return "";
  const std::string& command = IsBuildStep(index) ? plan_.build_steps(index).command() : plan_.commands(index - steps);
  if (!result.said.empty())
    return absl::StrCat(ForMessage(plan_.build_steps(index).title()), ": ", ForMessage(result.said, kMaxLineBytes));
  std::string text = IsBuildStep(index) ? absl::StrCat("Step ", index + 1, "/", steps, " `",
                                                       ForMessage(plan_.build_steps(index).title()))
                                        : absl::StrCat("Command `", Short(command));
  absl::StrAppend(&text, "` return code: ", result.exit_code, SignalText(result.exit_code));
  const std::string line = result.line > 0 && IsOfManyLines(command) ? LineOf(command, result.line) : "";
  // A step may begin with lines that the builder added, which the user has not written.
  const bool own = !IsBuildStep(index) || absl::StrContains(plan_.build_steps(index).title(), line);
  if (result.line > 0 && IsOfManyLines(command) && own) {
    absl::StrAppend(&text, " (line ", result.line);
    if (!line.empty() && (IsBuildStep(index) || result.line != FirstLineOf(command)))
      absl::StrAppend(&text, ": `", ForMessage(line, kMaxLineBytes), "`");
    absl::StrAppend(&text, ")");
  }
  if (!result.hint.empty()) absl::StrAppend(&text, ". ", result.hint);
  return text;
}

AttemptEnded CommandSequence::Outcome() const {
  AttemptEnded ended;
  if (last_ >= 0) ended.set_exit_code(last_result_.exit_code);
  if (cause_ == StopCause::kAsked) {
    ended.set_event(Observation::STOPPED);
    ended.set_reason("KILLED");
    return ended;
  }
  ended.set_event(Observation::EXITED);
  if (cause_ == StopCause::kTimeLimit) {
    ended.set_reason("RUN_TIME_EXCEEDED");
    ended.set_message(absl::StrCat("stopped after the longest run time of ",
                                   absl::FormatDuration(FromProtoDuration(plan_.max_run_time()))));
    ended.set_exit_class(v1::Attempt::USER_ERROR);
    return ended;
  }
  if (without_shell_) {
    ended.set_exit_code(kCommandNotFound);
    ended.set_reason("ERROR");
    ended.set_message(kNoShell);
    ended.set_exit_class(v1::Attempt::USER_ERROR);
    return ended;
  }
  if (last_ < 0) {  // a plan without any step
    ended.set_exit_code(0);
    ended.set_reason("COMPLETED");
    ended.set_exit_class(v1::Attempt::SUCCESS);
    return ended;
  }
  ended.set_message(MessageOf(last_, last_result_));
  if (last_result_.other_python && !plan_.interpreter_note().empty())
    ended.set_message(absl::StrCat(ended.message(), " (", plan_.interpreter_note(), ")"));
  if (last_result_.exit_code == 0) {
    ended.set_reason("COMPLETED");
    ended.set_exit_class(v1::Attempt::SUCCESS);
  } else if (last_result_.out_of_memory) {
    ended.set_reason("OOMKILLED");
    ended.set_message(absl::StrCat(
        ended.message(), plan_.memory_limit_bytes() > 0
                             ? absl::StrCat(" (the job reached its memory limit of ",
                                            plan_.memory_limit_bytes() / kMegabyte, " MB; ask for more with `mem`)")
                             : " (the machine ran out of memory)"));
    ended.set_exit_class(v1::Attempt::OUT_OF_MEMORY);
  } else {
    ended.set_reason("ERROR");
    ended.set_exit_class(v1::Attempt::USER_ERROR);
  }
  return ended;
}

}  // namespace riseml::agent
