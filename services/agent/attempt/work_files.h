// Keeps what a job has made in its working directory: copies new and changed files below its output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::agent {

// Directory for them in the output of an experiment: "workdir", of further attempts "workdir-2", "workdir-3", ….
std::string KeptName(int attempt);

struct KeepRequest {
  std::string from;  // the working directory
  std::string to;    // made when there is something to keep
  absl::Time since;  // files whose inode has changed since then are new or changed
  std::int64_t bytes_limit = 0;
};

// Result of keeping files: those that were kept and those that were not.
struct KeptFiles {
  std::int64_t files = 0;
  std::int64_t bytes = 0;
  std::vector<std::string> in_the_way;  // not kept: the job has a file of this name there; the first five
  std::vector<std::string> unreadable;  // not kept; the first five
  std::int64_t left_files = 0;          // not kept: over the bound or too deep
  std::int64_t left_bytes = 0;
  std::vector<std::string> left_named;  // the largest of them, relative to `from`, with their sizes
};

// True for names of caches and of generated trees, which are not kept, e.g. "__pycache__".
bool IsCacheName(absl::string_view name);

// The time from which on a file is younger than `last`, a file that was made after all that was there before: that
// clock ticks every few milliseconds, and mostly has since. `marker` is a file to make for it. The end of time when it
// cannot be made.
absl::Time NextTickOfFiles(const std::string& marker, const std::string& last);

// Copies. Links are made again as links and never followed; sockets, pipes and devices are not kept. Nobody may change
// the directories meanwhile. An error when the destination cannot be made or the disk is full; what was copied stays.
absl::StatusOr<KeptFiles> KeepWorkFiles(const KeepRequest& request);

// Lines for the log, without a path of the node: its directories may be closed to who reads it. Empty when there is
// nothing to say.
std::string DescribeKept(const KeptFiles& kept, const KeepRequest& request);

// "1.5 MB": powers of 1,000.
std::string PrintBytes(std::int64_t bytes);

}  // namespace riseml::agent
