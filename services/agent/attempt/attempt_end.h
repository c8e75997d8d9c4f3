// Ends that the node itself decides on.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/attempt/attempt_dir.h"

namespace riseml::agent {

// Without a time and an offset of the log.
internal::v1::AttemptEnded EndOf(internal::v1::Observation::Event event, absl::string_view reason,
                                 absl::string_view message,
                                 v1::Attempt::ExitClass exit_class = v1::Attempt::INFRASTRUCTURE);

internal::v1::AttemptEnded StoppedOnRequest();

// An attempt that was killed as the disk was nearly full. Its user's fault: it is not tried again as for the node's.
internal::v1::AttemptEnded EndedForDisk(absl::string_view message);

// The end that the node has decided on for an attempt (AttemptReconciler::EndAttempt), if it has.
std::optional<internal::v1::AttemptEnded> DecidedEnd(const AttemptDir& dir);

}  // namespace riseml::agent
