#include "services/agent/attempt/attempt_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {
constexpr std::int64_t kMaxFileBytes = 16 << 20;
}  // namespace

std::string Print(const AttemptId& id) { return absl::StrCat(id.job_uid, ".", id.attempt); }

std::optional<AttemptId> ParseAttemptId(absl::string_view text) {
  const std::size_t dot = text.rfind('.');
  AttemptId id;
  if (dot == absl::string_view::npos || !absl::SimpleAtoi(text.substr(dot + 1), &id.attempt) || id.attempt < 1)
    return std::nullopt;
  id.job_uid = std::string(text.substr(0, dot));
  if (!IsUuid(id.job_uid) || Print(id) != text) return std::nullopt;
  return id;
}

absl::Status Mark(const std::string& path) { return WriteFileAtomically(path, "", 0600); }

namespace internal_files {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) { return ReadPlainFile(path, kMaxFileBytes); }

absl::Status WriteSecret(const std::string& path, const std::string& bytes) {
  return WriteFileAtomically(path, bytes, 0600);
}

absl::Status Damaged(const std::string& path) {
  return absl::DataLossError(absl::StrCat(path, " is damaged; its attempt can no longer be tracked"));
}

}  // namespace internal_files

}  // namespace riseml::agent
