// Errors a client may act on: one row per reason, with its name on the wire and its canonical code.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml {

enum class Reason {
  kInvalidArgument,
  kInvalidSpec,
  kInvalidName,
  kInvalidPageToken,
  kRequestIdReused,
  kUnsupported,
  kUnauthenticated,
  kKeyExpired,
  kPermissionDenied,
  kNotFound,
  kAlreadyExists,
  kExperimentDone,
  kExperimentRuns,
  kInUse,
  kLastAdmin,
  kStale,
  kNotLeader,
  kPushOutdated,
  kLimitExceeded,
  kFileChanged,
  kResumeTokenExpired,
  kOffsetMismatch,
  kNewerFormat,
  kDiskFull,
  kShuttingDown,
  kUnavailable,
};

struct ReasonRow {
  Reason reason;
  absl::string_view name;
  absl::StatusCode code;
};

inline constexpr ReasonRow kReasons[] = {
    {Reason::kInvalidArgument, "INVALID_ARGUMENT", absl::StatusCode::kInvalidArgument},
    {Reason::kInvalidSpec, "INVALID_SPEC", absl::StatusCode::kInvalidArgument},
    {Reason::kInvalidName, "INVALID_NAME", absl::StatusCode::kInvalidArgument},
    {Reason::kInvalidPageToken, "INVALID_PAGE_TOKEN", absl::StatusCode::kInvalidArgument},
    {Reason::kRequestIdReused, "REQUEST_ID_REUSED", absl::StatusCode::kInvalidArgument},
    {Reason::kUnsupported, "UNSUPPORTED", absl::StatusCode::kInvalidArgument},
    {Reason::kUnauthenticated, "UNAUTHENTICATED", absl::StatusCode::kUnauthenticated},
    {Reason::kKeyExpired, "KEY_EXPIRED", absl::StatusCode::kUnauthenticated},
    {Reason::kPermissionDenied, "PERMISSION_DENIED", absl::StatusCode::kPermissionDenied},
    {Reason::kNotFound, "NOT_FOUND", absl::StatusCode::kNotFound},
    {Reason::kAlreadyExists, "ALREADY_EXISTS", absl::StatusCode::kAlreadyExists},
    {Reason::kExperimentDone, "EXPERIMENT_DONE", absl::StatusCode::kFailedPrecondition},
    {Reason::kExperimentRuns, "EXPERIMENT_RUNS", absl::StatusCode::kFailedPrecondition},
    {Reason::kInUse, "IN_USE", absl::StatusCode::kFailedPrecondition},
    {Reason::kLastAdmin, "LAST_ADMIN", absl::StatusCode::kFailedPrecondition},
    {Reason::kStale, "STALE", absl::StatusCode::kAborted},
    {Reason::kNotLeader, "NOT_LEADER", absl::StatusCode::kAborted},
    {Reason::kPushOutdated, "PUSH_OUTDATED", absl::StatusCode::kAborted},
    {Reason::kLimitExceeded, "LIMIT_EXCEEDED", absl::StatusCode::kResourceExhausted},
    {Reason::kFileChanged, "FILE_CHANGED", absl::StatusCode::kFailedPrecondition},
    {Reason::kResumeTokenExpired, "RESUME_TOKEN_EXPIRED", absl::StatusCode::kOutOfRange},
    {Reason::kOffsetMismatch, "OFFSET_MISMATCH", absl::StatusCode::kFailedPrecondition},
    {Reason::kNewerFormat, "NEWER_FORMAT", absl::StatusCode::kFailedPrecondition},
    {Reason::kDiskFull, "DISK_FULL", absl::StatusCode::kResourceExhausted},
    {Reason::kShuttingDown, "SHUTTING_DOWN", absl::StatusCode::kUnavailable},
    {Reason::kUnavailable, "UNAVAILABLE", absl::StatusCode::kUnavailable},
};

// Makes the status of `reason`: its code, `message` for people, and the reason as a payload.
absl::Status Error(Reason reason, absl::string_view message);

// NOT_FOUND, "<name> not found".
absl::Status NotFound(absl::string_view name);

// Name of the reason a status carries, e.g. "STALE"; empty when it carries none.
std::string ReasonName(const absl::Status& status);
bool HasReason(const absl::Status& status, Reason reason);

// Attaches a reason by its wire name (for statuses that come from another process).
void SetReasonName(absl::Status& status, absl::string_view name);

// Details for programs. Each function returns the status with one detail more; OK stays OK. Details cross the wire (see
// services/common/rpc/status.h).
absl::Status WithMetadata(absl::Status status, absl::string_view key, absl::string_view value);
absl::Status WithMetadata(absl::Status status, absl::string_view key, std::int64_t value);
// `field` is the path of a field, e.g. "train.resources.gpus"; `description` says what it must be.
absl::Status WithViolation(absl::Status status, absl::string_view field, absl::string_view description);
// The same call may succeed after `delay`, which is positive.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

struct FieldViolation {
  std::string field, description;
  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};
std::map<std::string, std::string> MetadataOf(const absl::Status& status);
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);  // in the order in which they were added
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// INVALID_ARGUMENT, "<field>: <description>", with the violation.
absl::Status InvalidField(absl::string_view field, absl::string_view description);

// LIMIT_EXCEEDED with metadata "limit" and "used": how much there may be, and how much there is or was asked for.
absl::Status LimitExceeded(absl::string_view message, std::int64_t limit, std::int64_t used);

// Replaces the message of an error; keeps code, reason and details.
absl::Status WithMessage(const absl::Status& status, absl::string_view message);

// Prefixes an error with what was being done; keeps code, reason and details. OK stays OK.
absl::Status While(absl::string_view doing, const absl::Status& status);

// Error of a failed system call: "open /x/y: No such file or directory". Maps ENOENT to NOT_FOUND, ENOSPC and
// EDQUOT to DISK_FULL (with metadata "cause": DEVICE or QUOTA), EACCES and EPERM to PERMISSION_DENIED, the rest to
// INTERNAL.
absl::Status ErrnoError(int error, absl::string_view doing);

}  // namespace riseml
