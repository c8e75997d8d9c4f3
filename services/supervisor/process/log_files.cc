#include "services/supervisor/process/log_files.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {
namespace {

constexpr std::int64_t kTailBytes = 8 << 10;

}  // namespace

absl::Status RotateLog(const std::string& path, std::int64_t max_bytes) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0 || info.st_size <= max_bytes) return absl::OkStatus();
  for (int i = kOldLogs - 1; i >= 1; --i)
    rename(absl::StrCat(path, ".", i).c_str(), absl::StrCat(path, ".", i + 1).c_str());
  RISEML_ASSIGN_OR_RETURN(const UniqueFd from, OpenFile(path, O_RDWR));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd to, OpenFile(path + ".1", O_WRONLY | O_CREAT | O_TRUNC, 0600));
  while (true) {
    const ssize_t n = sendfile(to.get(), from.get(), nullptr, 1 << 20);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("copy ", path));
    if (n == 0) break;
  }
  if (ftruncate(from.get(), 0) != 0) return ErrnoError(errno, absl::StrCat("empty ", path));
  return absl::OkStatus();
}

std::string LogTail(const std::string& path, int lines) {
  const absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY);
  struct stat info = {};
  if (!fd.ok() || fstat(fd->get(), &info) != 0) return "";
  const std::int64_t start = std::max<std::int64_t>(0, info.st_size - kTailBytes);
  std::string text(kTailBytes, '\0');
  const ssize_t n = pread(fd->get(), text.data(), text.size(), start);
  if (n <= 0) return "";
  text.resize(n);
  std::vector<std::string> parts = absl::StrSplit(absl::StripTrailingAsciiWhitespace(text), '\n');
  if (start > 0 && parts.size() > 1) parts.erase(parts.begin());  // most likely incomplete
  if (static_cast<int>(parts.size()) > lines) parts.erase(parts.begin(), parts.end() - lines);
  return absl::StrJoin(parts, "\n");
}

std::string EndOfLog(const std::string& path, absl::string_view shown, int lines) {
  const std::string tail = LogTail(path, lines);
  return tail.empty() ? "" : absl::StrCat("; the end of ", shown, ":\n", tail);
}

}  // namespace riseml::supervisor
