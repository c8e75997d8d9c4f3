// Journal of an attempt: an append-only file that says whether its commands have begun and how they ended. It makes an
// attempt run at most once: a process may begin only if it holds the file's lock and finds the file empty.
//
// A record is its length and CRC-32C (4 bytes each, little endian) and a serialised JournalRecord. A torn last record
// counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

struct JournalContent {
  std::optional<internal::v1::AttemptStarted> started;
  std::optional<internal::v1::AttemptEnded> ended;
  std::int64_t valid_bytes = 0;
};

// Reads the file from its beginning, whatever the descriptor's position.
absl::StatusOr<JournalContent> ReadJournal(int fd);

// The same by path. An absent file is empty.
absl::StatusOr<JournalContent> ReadJournal(const std::string& path);

// Appends durably. The caller holds the lock; the descriptor was opened for appending.
absl::Status AppendToJournal(int fd, const internal::v1::JournalRecord& record);

// Used by watchers: takes the lock and appends the end unless the journal has one. Returns the end that the journal has
// now. FAILED_PRECONDITION when another process holds the lock: then the attempt lives. One call at a time per file.
absl::StatusOr<internal::v1::AttemptEnded> EndJournal(const std::string& path, const internal::v1::AttemptEnded& ended);

}  // namespace riseml::agent
