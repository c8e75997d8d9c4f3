// Ends that the node itself decides on.
#pragma once

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// Without a time and an offset of the log.
internal::v1::AttemptEnded EndOf(internal::v1::Observation::Event event, absl::string_view reason,
                                 absl::string_view message,
                                 v1::Attempt::ExitClass exit_class = v1::Attempt::INFRASTRUCTURE);

internal::v1::AttemptEnded StoppedOnRequest();

}  // namespace riseml::agent
