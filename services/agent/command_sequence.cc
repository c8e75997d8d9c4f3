#include "services/agent/command_sequence.h"

#include <sys/wait.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptEnded;
using internal::v1::Observation;

constexpr std::size_t kMaxMessageBytes = 1000;
constexpr int kCommandNotFound = 127;
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

}  // namespace

std::string ForMessage(absl::string_view text) {
  std::string out;
  while (!text.empty() && out.size() < kMaxMessageBytes) {
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
  if (!IsBuildStep(running_)) return Step{plan_.commands(running_ - plan_.build_steps_size()), ""};
  const internal::v1::BuildStep& step = plan_.build_steps(running_);
  return Step{step.command(), absl::StrCat("==> Step ", running_ + 1, "/", plan_.build_steps_size(), ": ",
                                           ForMessage(step.title()), "\n")};
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
  if (apt && (result.exit_code == kCommandNotFound || result.exit_code == kAptFailed)) absl::StrAppend(&text, kAptHint);
  return text;
}

std::string CommandSequence::MessageOf(int index, int exit_code) const {
  if (IsBuildStep(index))
    return exit_code == 0 ? ""
                          : absl::StrCat("Step ", index + 1, "/", plan_.build_steps_size(), " `",
                                         ForMessage(plan_.build_steps(index).title()), "` return code: ", exit_code);
  return absl::StrCat("Command `", ForMessage(plan_.commands(index - plan_.build_steps_size())),
                      "` return code: ", exit_code);
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
    ended.set_message(absl::StrCat("stopped after the longest run time of ", plan_.max_run_seconds(), " s"));
    ended.set_exit_class(Observation::USER_ERROR);
    return ended;
  }
  if (last_ < 0) {  // a plan without any step
    ended.set_exit_code(0);
    ended.set_reason("COMPLETED");
    ended.set_exit_class(Observation::SUCCESS);
    return ended;
  }
  ended.set_message(MessageOf(last_, last_result_.exit_code));
  if (last_result_.exit_code == 0) {
    ended.set_reason("COMPLETED");
    ended.set_exit_class(Observation::SUCCESS);
  } else if (last_result_.out_of_memory) {
    ended.set_reason("OOMKILLED");
    ended.set_message(absl::StrCat(ended.message(), " (the machine ran out of memory)"));
    ended.set_exit_class(Observation::OUT_OF_MEMORY);
  } else {
    ended.set_reason("ERROR");
    ended.set_exit_class(Observation::USER_ERROR);
  }
  return ended;
}

}  // namespace riseml::agent
