#include "services/agent/process/output_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kPipeBytes = 256 << 10;
constexpr int kReadsAtOnce = 16;  // together more than a job can make the pipe hold, 1 MiB
constexpr std::size_t kTailOfOutput = 4096;

}  // namespace

absl::StatusOr<UniqueFd> HoldOutput(const std::string& path) {
  if (chmod(path.c_str(), 0600) != 0) return ErrnoError(errno, absl::StrCat("chmod ", path));
  absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  // A job that opens the pipe by name and reads it would take bytes away from the log.
  if (chmod(path.c_str(), 0200) != 0) return ErrnoError(errno, absl::StrCat("chmod ", path));
  return fd;
}

absl::StatusOr<OutputEnds> OpenOutput(const std::string& path) {
  if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("make the pipe ", path));
  OutputEnds ends;
  RISEML_ASSIGN_OR_RETURN(ends.read, HoldOutput(path));
  RISEML_ASSIGN_OR_RETURN(ends.write, OpenFile(path, O_WRONLY | O_NOFOLLOW));
  fcntl(ends.read.get(), F_SETPIPE_SZ, kPipeBytes);  // a smaller pipe is only slower
  return ends;
}

absl::Status OutputPipe::WritePending() {
  while (!pending_.empty()) {
    const ssize_t n = write(log_, pending_.data(), pending_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "write to the log");
    pending_.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status OutputPipe::Append(absl::string_view bytes) {
  pending_ = bytes;
  const std::size_t kept = bytes.size() < kTailOfOutput ? bytes.size() : kTailOfOutput;
  if (tail_.size() + kept > kTailOfOutput) tail_.erase(0, tail_.size() + kept - kTailOfOutput);
  tail_.append(bytes.data() + bytes.size() - kept, kept);
  return WritePending();
}

absl::Status OutputPipe::Copy() {
  RISEML_RETURN_IF_ERROR(WritePending());
  buffer_.resize(kPipeBytes);
  for (int round = 0; round < kReadsAtOnce; ++round) {
    const ssize_t n = read(pipe_, buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    taken_ += n;
    RISEML_RETURN_IF_ERROR(Append(absl::string_view(buffer_.data(), n)));
  }
  return absl::OkStatus();
}

absl::Status OutputPipe::Print(absl::string_view text) {
  if (text.empty()) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(Copy());
  buffer_ = absl::StrCat(tail_.empty() || tail_.back() == '\n' ? "" : "\n", text);
  return Append(buffer_);
}

}  // namespace riseml::agent
