#include "services/common/base/status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace riseml {
namespace {
constexpr absl::string_view kReasonPayload = "riseml/reason";
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

absl::Status While(absl::string_view doing, const absl::Status& status) {
  if (status.ok()) return status;
  absl::Status out(status.code(), absl::StrCat(doing, ": ", status.message()));
  status.ForEachPayload([&out](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
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
      return Error(Reason::kDiskFull, message);
    case EACCES:
    case EPERM:
      return Error(Reason::kPermissionDenied, message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace riseml
