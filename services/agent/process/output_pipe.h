// Copies the output of a job from a pipe into its log.
//
// All processes of a job print into one pipe, `run` copies it into the log in order. A pipe can be opened again under
// all its names (/dev/stdout, /dev/fd/2, /proc/self/fd/1), and nobody can truncate or overwrite what was printed: the
// job has no descriptor of the log. Offsets in the log file are offsets in the log.
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

// Opens the named pipe `path`, made when absent. Afterwards its owner can open it by name for writing only.
absl::StatusOr<OutputEnds> OpenOutput(const std::string& path);

// A further read end of a pipe that exists: what is in the pipe stays there while somebody holds one.
// NOT_FOUND when it does not exist.
absl::StatusOr<UniqueFd> HoldOutput(const std::string& path);

// Copies from the pipe into the log. Thread-compatible.
class OutputPipe {
 public:
  // Descriptors outlive this; `log` was opened for appending.
  OutputPipe(int pipe, int log) : pipe_(pipe), log_(log) {}

  // Copies what was printed before the call, and at most 4 MiB. DISK_FULL and other errors of the log: what could not
  // be written is kept for the next call.
  absl::Status Copy();
  // Appends a line of the platform after all that has been printed, on a line of its own.
  absl::Status Print(absl::string_view text);

  // The last bytes that were printed, at most 4 KiB.
  absl::string_view tail() const { return tail_; }
  // Bytes that were taken from the pipe so far.
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
