#include "services/agent/ship/result_delivery.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/agent/run/result_socket.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kBatchBytes = 48 << 10;  // api accepts 64 KiB; results print slightly longer than in the spool

// Reads at most `bytes` bytes of the file from `offset` on.
absl::StatusOr<std::string> ReadFrom(const std::string& path, std::int64_t offset, std::size_t bytes) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_NOFOLLOW));
  struct stat file {};
  if (fstat(fd.get(), &file) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  bytes = std::min(bytes, static_cast<std::size_t>(std::max<std::int64_t>(0, file.st_size - offset)));
  std::string out(bytes, '\0');
  std::size_t length = 0;
  while (length < bytes) {
    const ssize_t n = pread(fd.get(), out.data() + length, bytes - length, offset + static_cast<std::int64_t>(length));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    length += n;
  }
  out.resize(length);
  return out;
}

}  // namespace

bool IsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return HasReason(status, Reason::kLimitExceeded) && !RetryDelayOf(status);
    default:
      return false;
  }
}

google::protobuf::Struct MaskResults(const logtext::Masker& masker, const google::protobuf::Struct& results) {
  if (masker.empty()) return results;
  google::protobuf::Struct masked;
  for (const auto& [name, value] : results.fields()) {
    google::protobuf::Value& at = (*masked.mutable_fields())[masker.Mask(name)];
    at = value;
    if (value.has_string_value()) at.set_string_value(masker.Mask(value.string_value()));
  }
  return masked;
}

ResultDelivery::ResultDelivery(std::string spool_path, std::int64_t delivered, ReportResults report)
    : spool_path_(std::move(spool_path)), report_(std::move(report)), delivered_(delivered) {
  if (delivered_ == 0) offset_ = 0;
}

absl::StatusOr<bool> ResultDelivery::NextBatch(google::protobuf::Struct& merged, std::int64_t& lines,
                                               std::int64_t& bytes) {
  if (offset_ < 0) {  // after a restart: skip delivered lines
    RISEML_ASSIGN_OR_RETURN(const std::string all, ReadFrom(spool_path_, 0, kMaxSpoolBytes));
    std::size_t at = 0;
    for (std::int64_t i = 0; i < delivered_ && at != std::string::npos; ++i) {
      at = all.find('\n', at);
      if (at != std::string::npos) ++at;
    }
    offset_ = at == std::string::npos ? static_cast<std::int64_t>(all.size()) : static_cast<std::int64_t>(at);
  }
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFrom(spool_path_, offset_, kBatchBytes + kMaxResultLine));
  absl::string_view rest = text;
  for (std::size_t end = rest.find('\n'); end != absl::string_view::npos; end = rest.find('\n')) {
    if (lines > 0 && delivered_ < singly_until_) break;
    if (lines > 0 && bytes + static_cast<std::int64_t>(end) > static_cast<std::int64_t>(kBatchBytes)) break;
    google::protobuf::Struct values;
    if (google::protobuf::util::JsonStringToMessage(std::string(rest.substr(0, end)), &values).ok()) {
      google::protobuf::Struct both = merged;
      for (const auto& [name, value] : values.fields()) (*both.mutable_fields())[name] = value;
      if (lines > 0 && both.fields().size() > kMaxResults) break;
      merged = std::move(both);
    }
    ++lines;
    bytes += static_cast<std::int64_t>(end) + 1;
    rest.remove_prefix(end + 1);
  }
  return lines > 0;
}

absl::Status ResultDelivery::Deliver() {
  while (true) {
    google::protobuf::Struct merged;
    std::int64_t lines = 0, bytes = 0;
    const absl::StatusOr<bool> any = NextBatch(merged, lines, bytes);
    if (HasReason(any.status(), Reason::kNotFound)) return absl::OkStatus();  // no spool: nothing was reported
    RISEML_RETURN_IF_ERROR(any.status());
    if (!*any) return absl::OkStatus();
    const absl::Status status = report_(merged, delivered_ + lines);
    if (!status.ok() && !IsRefusal(status)) return While("report results", status);
    if (!status.ok() && lines > 1) {  // one line is refused; the others must not be lost
      singly_until_ = delivered_ + lines;
      continue;
    }
    if (!status.ok()) LogWarning("results_refused", {{"lines", lines}, {"error", std::string(status.message())}});
    delivered_ += lines;
    offset_ += bytes;
  }
}

}  // namespace riseml::agent
