#include "services/agent/attempt/attempt_end.h"

#include <string>

#include "services/common/base/files/file.h"

namespace riseml::agent {

using internal::v1::AttemptEnded;
using internal::v1::Observation;

namespace {
constexpr int kKilledExitCode = 137;  // the exit code a shell reports for a program that got SIGKILL
}  // namespace

AttemptEnded EndOf(Observation::Event event, absl::string_view reason, absl::string_view message,
                   v1::Attempt::ExitClass exit_class) {
  AttemptEnded ended;
  ended.set_event(event);
  ended.set_reason(std::string(reason));
  ended.set_message(std::string(message));
  ended.set_exit_class(exit_class);
  return ended;
}

AttemptEnded StoppedOnRequest() {
  return EndOf(Observation::STOPPED, "KILLED", "", v1::Attempt::EXIT_CLASS_UNSPECIFIED);
}

AttemptEnded EndedForItsUse(absl::string_view reason, absl::string_view message) {
  AttemptEnded ended = EndOf(Observation::EXITED, reason, message, v1::Attempt::USER_ERROR);
  ended.set_exit_code(kKilledExitCode);
  return ended;
}

AttemptEnded EndedForDisk(absl::string_view message) { return EndedForItsUse("DISK_FULL", message); }

std::optional<AttemptEnded> DecidedEnd(const AttemptDir& dir) {
  if (!FileExists(dir.end())) return std::nullopt;
  // The file was written while the disk was nearly full, so it may be empty or incomplete.
  const absl::StatusOr<AttemptEnded> ended = ReadMessage<AttemptEnded>(dir.end());
  if (ended.ok() && !ended->reason().empty()) return *ended;
  return EndedForDisk("ended because the disk of its node was full; delete what is not needed (riseml rm)");
}

}  // namespace riseml::agent
