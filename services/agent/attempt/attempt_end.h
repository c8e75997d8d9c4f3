// Ends of attempts that the node itself decides on.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/attempt/attempt_dir.h"

namespace riseml::agent {

// Makes an end without a time and without a log offset.
internal::v1::AttemptEnded EndOf(internal::v1::Observation::Event event, absl::string_view reason,
                                 absl::string_view message,
                                 v1::Attempt::ExitClass exit_class = v1::Attempt::INFRASTRUCTURE);

internal::v1::AttemptEnded StoppedOnRequest();

// Returns the end of an attempt that was killed because of what it did. It counts as the user's error, so the attempt
// is not retried as after an error of the node. EndedForDisk: because the disk was nearly full.
internal::v1::AttemptEnded EndedForItsUse(absl::string_view reason, absl::string_view message);
internal::v1::AttemptEnded EndedForDisk(absl::string_view message);

// Returns the end that AttemptReconciler::EndAttempt recorded for an attempt; nullopt if there is none.
std::optional<internal::v1::AttemptEnded> DecidedEnd(const AttemptDir& dir);

}  // namespace riseml::agent
