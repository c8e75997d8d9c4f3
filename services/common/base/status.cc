#include "services/common/base/status.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace riseml {
namespace {

constexpr absl::string_view kReasonPayload = "riseml/reason";
constexpr absl::string_view kRetryPayload = "riseml/retry_delay_ns";
// One payload for each detail: a status gives its payloads back in any order.
constexpr absl::string_view kMetadataPrefix = "riseml/metadata/";    // then the key
constexpr absl::string_view kViolationPrefix = "riseml/violation/";  // then a number

// Calls `body(rest of the name, content)` for each payload with this prefix.
template <class Body>
void ForEachDetail(const absl::Status& status, absl::string_view prefix, Body&& body) {
  status.ForEachPayload([&](absl::string_view name, const absl::Cord& payload) {
    if (absl::ConsumePrefix(&name, prefix)) body(name, std::string(payload));
  });
}

}  // namespace

absl::Status Error(Reason reason, absl::string_view message) {
  for (const ReasonRow& row : kReasons) {
    if (row.reason != reason) continue;
    absl::Status status(row.code, message);
    SetReasonName(status, row.name);
    return status;
  }
  return absl::InternalError("reason has no row");
}

absl::Status NotFound(absl::string_view name) { return Error(Reason::kNotFound, absl::StrCat(name, " not found")); }

std::string ReasonName(const absl::Status& status) {
  auto payload = status.GetPayload(kReasonPayload);
  return payload ? std::string(*payload) : std::string();
}

bool HasReason(const absl::Status& status, Reason reason) {
  const std::string name = ReasonName(status);
  for (const ReasonRow& row : kReasons)
    if (row.reason == reason) return name == row.name;
  return false;
}

void SetReasonName(absl::Status& status, absl::string_view name) {
  status.SetPayload(kReasonPayload, absl::Cord(name));
}

absl::Status WithMetadata(absl::Status status, absl::string_view key, absl::string_view value) {
  status.SetPayload(absl::StrCat(kMetadataPrefix, key), absl::Cord(value));
  return status;
}

absl::Status WithMetadata(absl::Status status, absl::string_view key, std::int64_t value) {
  return WithMetadata(std::move(status), key, absl::StrCat(value));
}

absl::Status WithViolation(absl::Status status, absl::string_view field, absl::string_view description) {
  int count = 0;
  ForEachDetail(status, kViolationPrefix, [&](absl::string_view, const std::string&) { ++count; });
  const std::string path(field.substr(0, field.find('\0')));
  status.SetPayload(absl::StrCat(kViolationPrefix, count),
                    absl::Cord(absl::StrCat(path, absl::string_view("\0", 1), description)));
  return status;
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  status.SetPayload(kRetryPayload, absl::Cord(absl::StrCat(absl::ToInt64Nanoseconds(delay))));
  return status;
}

std::map<std::string, std::string> MetadataOf(const absl::Status& status) {
  std::map<std::string, std::string> metadata;
  ForEachDetail(status, kMetadataPrefix,
                [&](absl::string_view key, std::string value) { metadata[std::string(key)] = std::move(value); });
  return metadata;
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::map<int, FieldViolation> by_number;
  ForEachDetail(status, kViolationPrefix, [&](absl::string_view number, const std::string& text) {
    int key = 0;
    const std::size_t end = text.find('\0');
    if (absl::SimpleAtoi(number, &key) && end != std::string::npos)
      by_number[key] = {text.substr(0, end), text.substr(end + 1)};
  });
  std::vector<FieldViolation> violations;
  for (auto& [number, violation] : by_number) violations.push_back(std::move(violation));
  return violations;
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryPayload);
  std::int64_t nanoseconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &nanoseconds) || nanoseconds <= 0) return std::nullopt;
  return absl::Nanoseconds(nanoseconds);
}

absl::Status InvalidField(absl::string_view field, absl::string_view description) {
  return WithViolation(Error(Reason::kInvalidArgument, absl::StrCat(field, ": ", description)), field, description);
}

absl::Status LimitExceeded(absl::string_view message, std::int64_t limit, std::int64_t used) {
  return WithMetadata(WithMetadata(Error(Reason::kLimitExceeded, message), "limit", limit), "used", used);
}

absl::Status WithMessage(const absl::Status& status, absl::string_view message) {
  absl::Status out(status.code(), message);
  status.ForEachPayload([&out](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

absl::Status While(absl::string_view doing, const absl::Status& status) {
  return status.ok() ? status : WithMessage(status, absl::StrCat(doing, ": ", status.message()));
}

absl::Status ErrnoError(int error, absl::string_view doing) {
  const std::string message = absl::StrCat(doing, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Error(Reason::kNotFound, message);
    case EEXIST:
      return Error(Reason::kAlreadyExists, message);
    case ENOSPC:
    case EDQUOT:
      return WithMetadata(Error(Reason::kDiskFull, message), "cause", error == EDQUOT ? "QUOTA" : "DEVICE");
    case EACCES:
    case EPERM:
      return Error(Reason::kPermissionDenied, message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace riseml
