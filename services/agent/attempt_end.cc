#include "services/agent/attempt_end.h"

#include <string>

namespace riseml::agent {

using internal::v1::AttemptEnded;
using internal::v1::Observation;

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

}  // namespace riseml::agent
