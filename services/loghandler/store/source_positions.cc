#include "services/loghandler/store/source_positions.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {
namespace {

constexpr std::size_t kMaxSourceName = 200;

bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxSourceName && name[0] != '.' &&
         std::ranges::all_of(name, [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace

absl::StatusOr<std::optional<std::int64_t>> SourcePositions::Load(const std::string& source) {
  if (!IsFileName(source))
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("'", source, "' cannot name a source of logs; use letters, digits, '.', '_' and '-'"));
  const std::string path = absl::StrCat(dir_, "/", source, ".pb");
  const absl::StatusOr<std::string> bytes = ReadFile(path, 4096);
  if (HasReason(bytes.status(), Reason::kNotFound)) return std::nullopt;
  RISEML_RETURN_IF_ERROR(bytes.status());
  internal::v1::LogSourcePosition position;
  if (!position.ParseFromString(*bytes) || position.next_position() < 0) {
    LogWarning("log_position_unreadable", {{"path", path}});
    return std::nullopt;
  }
  MutexLock lock(mu_);
  newest_[source] = position.next_position();
  return position.next_position();
}

void SourcePositions::Note(const std::string& source, std::int64_t next, std::uint32_t last_crc) {
  MutexLock lock(mu_);
  std::int64_t& newest = newest_[source];
  if (next <= newest) return;
  newest = next;
  noted_[source] = {source, next, last_crc};
}

absl::Status SourcePositions::Reset(const std::string& source, std::int64_t next) {
  {
    MutexLock lock(mu_);
    newest_[source] = next;
    noted_.erase(source);
  }
  return Write({{source, next, 0}});
}

SourcePositions::Noted SourcePositions::Take() {
  MutexLock lock(mu_);
  Noted noted;
  noted.reserve(noted_.size());
  for (auto& [source, position] : noted_) noted.push_back(std::move(position));
  noted_.clear();
  return noted;
}

absl::Status SourcePositions::Write(const Noted& noted) {
  MutexLock writing(write_mu_);
  for (const auto& [source, next, last_crc] : noted) {
    {
      MutexLock lock(mu_);
      if (next > newest_[source]) continue;  // a Reset has come between
    }
    internal::v1::LogSourcePosition position;
    position.set_next_position(next);
    position.set_last_record_crc(last_crc);
    RISEML_RETURN_IF_ERROR(MakeDirectories(dir_, 0700));
    RISEML_RETURN_IF_ERROR(disk_.Replace(absl::StrCat(dir_, "/", source, ".pb"), position.SerializeAsString()));
  }
  return absl::OkStatus();
}

}  // namespace riseml::loghandler
