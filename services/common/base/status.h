// Errors a client may act on: one row a reason, with its name on the wire and its canonical code.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

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

// Prefixes an error with what was being done; keeps code and reason. OK stays OK.
absl::Status While(absl::string_view doing, const absl::Status& status);

// Error of a failed system call: "open /x/y: No such file or directory". Maps ENOENT to NOT_FOUND, ENOSPC and
// EDQUOT to DISK_FULL, EACCES and EPERM to PERMISSION_DENIED, the rest to INTERNAL.
absl::Status ErrnoError(int error, absl::string_view doing);

}  // namespace riseml
