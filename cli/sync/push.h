// Brings a project's directory to the server and gets a revision for it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/sync/snapshot.h"
#include "riseml/v1/file.grpc.pb.h"

namespace riseml::sync {

// How much of what has to be sent was sent; called often, from the caller's thread.
using Progress = std::function<void(std::int64_t bytes_done, std::int64_t bytes_total)>;

struct PushOptions {
  std::string project;                         // resource name, "users/paul/projects/census"
  std::string credential;                      // API key
  std::string request_id;                      // empty: a new one
  absl::Duration timeout = absl::Minutes(60);  // of one upload
  Progress progress;                           // may be empty
};

struct PushOutcome {
  v1::PushResponse response;
  std::int64_t uploaded_bytes = 0;
  std::int64_t uploaded_objects = 0;
};

// What a revision may hold, as the server says.
absl::StatusOr<v1::Limits> GetLimits(v1::FileService::StubInterface& stub, const PushOptions& options);

// Pushes a snapshot: asks what is missing, sends that, and hashes what it sends. FILE_CHANGED when a file is not any
// more what the snapshot says. Another push in between (PUSH_OUTDATED) is answered by trying again, at most three
// times.
absl::StatusOr<PushOutcome> Push(v1::FileService::StubInterface& stub, const PushOptions& options,
                                 const Snapshot& snapshot);

struct SyncOutcome {
  PushOutcome push;
  Snapshot snapshot;  // what was pushed
  std::vector<std::string>
      still_moving;  // files that have changed again since; the revision has them as they were read
};

// Takes a snapshot within the server's limits, shows it to `before_push` (which may be empty) and pushes it. When files
// changed meanwhile it does all of this again, at most twice.
absl::StatusOr<SyncOutcome> SyncProject(v1::FileService::StubInterface& stub, const PushOptions& options,
                                        SnapshotOptions snapshot_options,
                                        const std::function<void(const Snapshot&)>& before_push = {});

}  // namespace riseml::sync
