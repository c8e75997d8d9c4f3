#include "services/agent/attempt/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/agent/process/process.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kMaxBytes = 1 << 20;

void PutFixed32(std::uint32_t value, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift & 0xFF));
}

std::uint32_t GetFixed32(absl::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

JournalContent Parse(absl::string_view bytes) {
  JournalContent content;
  while (bytes.size() >= kHeaderBytes) {
    const std::uint32_t length = GetFixed32(bytes);
    if (length > bytes.size() - kHeaderBytes) break;
    const absl::string_view body = bytes.substr(kHeaderBytes, length);
    internal::v1::JournalRecord record;
    if (Crc32c(body) != GetFixed32(bytes.substr(4)) ||
        !record.ParseFromArray(body.data(), static_cast<int>(body.size())))
      break;
    if (record.has_started() && !content.started) content.started = record.started();
    if (record.has_ended() && !content.ended) content.ended = record.ended();
    content.valid_bytes += static_cast<std::int64_t>(kHeaderBytes + length);
    bytes.remove_prefix(kHeaderBytes + length);
  }
  return content;
}

}  // namespace

absl::StatusOr<JournalContent> ReadJournal(int fd) {
  std::string bytes;
  char buffer[16384];
  while (bytes.size() < kMaxBytes) {
    const ssize_t n = pread(fd, buffer, sizeof buffer, static_cast<off_t>(bytes.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "read the journal of an attempt");
    if (n == 0) break;
    bytes.append(buffer, n);
  }
  return Parse(bytes);
}

absl::StatusOr<JournalContent> ReadJournal(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY | O_NOFOLLOW);
  if (HasReason(fd.status(), Reason::kNotFound)) return JournalContent();
  RISEML_RETURN_IF_ERROR(fd.status());
  return ReadJournal(fd->get());
}

absl::Status AppendToJournal(int fd, const internal::v1::JournalRecord& record) {
  const std::string body = record.SerializeAsString();
  std::string bytes;
  PutFixed32(static_cast<std::uint32_t>(body.size()), bytes);
  PutFixed32(Crc32c(body), bytes);
  bytes += body;
  RISEML_RETURN_IF_ERROR(While("append to the journal of an attempt", WriteAll(fd, bytes)));
  if (fsync(fd) != 0) return ErrnoError(errno, "fsync the journal of an attempt");
  return absl::OkStatus();
}

absl::StatusOr<internal::v1::AttemptEnded> EndJournal(const std::string& path,
                                                      const internal::v1::AttemptEnded& ended) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  RISEML_RETURN_IF_ERROR(LockFile(fd.get()));
  RISEML_ASSIGN_OR_RETURN(const JournalContent content, ReadJournal(fd.get()));
  if (content.ended) return *content.ended;
  if (ftruncate(fd.get(), content.valid_bytes) != 0) return ErrnoError(errno, absl::StrCat("truncate ", path));
  internal::v1::JournalRecord record;
  *record.mutable_ended() = ended;
  RISEML_RETURN_IF_ERROR(AppendToJournal(fd.get(), record));
  return ended;
}

}  // namespace riseml::agent
