// Uploads a project's directory to the server as a revision.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/sync/snapshot.h"
#include "riseml/v1/file.grpc.pb.h"

namespace riseml::sync {

// Reports how many of the bytes to send were sent. Called often, on the caller's thread.
using Progress = std::function<void(std::int64_t bytes_done, std::int64_t bytes_total)>;

struct PushOptions {
  std::string project;                             // resource name, "users/paul/projects/census"
  std::string credential;                          // API key
  std::string request_id;                          // empty: a new one
  absl::Duration timeout = absl::Minutes(60);      // of one upload
  std::shared_ptr<grpc::Channel> channel;          // of the stub, to be connected again; may be null
  Progress progress;                               // may be empty
  std::function<std::shared_ptr<void>()> waiting;  // its result is held while a call waits; may be empty
};

struct PushOutcome {
  v1::PushResponse response;
  std::int64_t uploaded_bytes = 0;
  std::int64_t uploaded_objects = 0;
};

// Returns the server's limits for a revision.
absl::StatusOr<v1::Limits> GetLimits(v1::FileService::StubInterface& stub, const PushOptions& options);

// The part of a snapshot that the server lacks.
struct UploadSize {
  std::int64_t files = 0;                    // of the project; equal ones count each
  std::int64_t bytes = 0;                    // of their contents, equal ones once
  std::int64_t objects = 0;                  // contents and directories; 0: nothing is sent
  std::vector<const SnapshotFile*> largest;  // at most five, largest first
};

// Called before each try of an upload; an error ends the push.
using BeforePush = std::function<absl::Status(const Snapshot&, const UploadSize&)>;

// Pushes a snapshot: asks which objects are missing, sends them, and hashes what it sends. FILE_CHANGED when a file
// without a copy no longer matches the snapshot. Retries at most six times when another push came in between
// (PUSH_OUTDATED).
absl::StatusOr<PushOutcome> Push(v1::FileService::StubInterface& stub, const PushOptions& options,
                                 const Snapshot& snapshot, const BeforePush& before_push = {});

struct SyncOutcome {
  PushOutcome push;
  Snapshot snapshot;                      // what was pushed
  std::vector<std::string> still_moving;  // files that changed meanwhile; the revision has them as they were read
};

// Takes a snapshot within the server's limits, shows it to `before_push` (which may be empty) and pushes it. Files that
// change while they are sent are copied and sent again as they were read, so a writer cannot stop a push.
absl::StatusOr<SyncOutcome> SyncProject(v1::FileService::StubInterface& stub, const PushOptions& options,
                                        SnapshotOptions snapshot_options, const BeforePush& before_push = {});

}  // namespace riseml::sync
