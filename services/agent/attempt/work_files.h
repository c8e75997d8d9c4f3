// Keeps files that a job made in its working directory: copies new and changed files to a directory of its output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::agent {

// Name of their directory in the output of an experiment: "workdir"; for further attempts "workdir-2", "workdir-3", ….
std::string KeptName(int attempt);

struct KeepRequest {
  std::string from;  // the working directory
  std::string to;    // created when there is something to keep
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

// Waits until the clock of the file system, which ticks every few milliseconds, has passed the time of `last`, the
// newest existing file. Returns the time of that clock, which it reads by making the file `marker`: files that change
// from then on are not older. InfiniteFuture if `marker` cannot be made.
absl::Time NextTickOfFiles(const std::string& marker, const std::string& last);

// Copies the files. Links are copied as links and never followed; sockets, pipes and devices are not kept. Nobody may
// change the directories meanwhile. Returns an error if the destination cannot be made or the disk is full; files
// copied until then stay.
absl::StatusOr<KeptFiles> KeepWorkFiles(const KeepRequest& request);

// Returns lines for the log. They name no path of the node, since readers of the log may have no access to it. Empty if
// there is nothing to report.
std::string DescribeKept(const KeptFiles& kept, const KeepRequest& request);

// "1.5 MB": powers of 1,000.
std::string PrintBytes(std::int64_t bytes);

}  // namespace riseml::agent
