// Copies the output of a job from a pipe into its log.
//
// All processes of a job print into one pipe, and `run` copies its bytes into the log in order. The pipe can be opened
// again under all its names (/dev/stdout, /dev/fd/2, /proc/self/fd/1). The job has no descriptor of the log, so it can
// neither truncate nor overwrite what was printed. Offsets in the log file are offsets in the log.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

// Both ends of a job's output pipe.
struct OutputEnds {
  UniqueFd read;   // does not block
  UniqueFd write;  // blocks when the pipe is full
};

// Opens the named pipe `path`, which is created if absent. Afterwards its owner can open it by name only for writing.
absl::StatusOr<OutputEnds> OpenOutput(const std::string& path);

// Opens a further read end of an existing pipe: bytes in the pipe stay there while any read end is open. NOT_FOUND if
// the pipe does not exist.
absl::StatusOr<UniqueFd> HoldOutput(const std::string& path);

// Copies from the pipe into the log. Thread-compatible.
class OutputPipe {
 public:
  // The descriptors must outlive this; `log` must be open for appending.
  OutputPipe(int pipe, int log) : pipe_(pipe), log_(log) {}

  // Copies the bytes printed before the call, at most 4 MiB. DISK_FULL and other errors of the log: bytes that could
  // not be written are kept for the next call.
  absl::Status Copy();
  // Appends a line of the platform, on a separate line after everything printed so far.
  absl::Status Print(absl::string_view text);

  // The last printed bytes, at most 4 KiB.
  absl::string_view tail() const { return tail_; }
  // Number of bytes read from the pipe so far.
  std::int64_t taken() const { return taken_; }

 private:
  absl::Status Append(absl::string_view bytes);
  absl::Status WritePending();

  const int pipe_;
  const int log_;
  std::string buffer_;
  absl::string_view pending_;  // part of buffer_ that is not written yet
  std::string tail_;
  std::int64_t taken_ = 0;
};

}  // namespace riseml::agent
