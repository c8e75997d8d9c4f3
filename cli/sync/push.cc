#include "cli/sync/push.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "cli/sync/file_reader.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/push/frame_packer.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/status.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kIdsPerCall = 16'000;
// Above this many objects, asks for the root tree alone first: an unchanged project then costs one small request.
constexpr std::size_t kAskAllAtOnce = 500;
constexpr std::size_t kLargestNamed = 5;
constexpr int kPushRetries = 6;
// Ways to read files, one for each try. The last one copies all files, so none can change after the read.
constexpr Copies kTries[] = {Copies::kNone, Copies::kNone, Copies::kRecent, Copies::kAll};
constexpr absl::Duration kCallTimeout = absl::Seconds(60);

constexpr std::size_t kMoreRevisions = 2;

using MissingIds = absl::flat_hash_set<git::ObjectId>;

rpc::CallOptions CallOptionsOf(const PushOptions& options) {
  rpc::CallOptions out;
  out.timeout = kCallTimeout;
  out.tries = rpc::kPatientTries;
  out.request_id = options.request_id;
  out.credential = options.credential;
  out.channel = options.channel;
  return out;
}

std::shared_ptr<void> Waiting(const PushOptions& options) { return options.waiting ? options.waiting() : nullptr; }

struct ServerState {
  std::string head;
  MissingIds missing;
};

absl::Status AskFor(v1::FileService::StubInterface& stub, const PushOptions& options,
                    const std::vector<git::ObjectId>& ids, ServerState& state) {
  const std::shared_ptr<void> waiting = Waiting(options);
  for (std::size_t begin = 0; begin < ids.size(); begin += kIdsPerCall) {
    v1::FindMissingRequest request;
    request.set_project(options.project);
    const std::size_t end = std::min(ids.size(), begin + kIdsPerCall);
    for (std::size_t i = begin; i < end; ++i) request.add_oids(std::string(git::Raw(ids[i])));
    RISEML_ASSIGN_OR_RETURN(
        const v1::FindMissingResponse response,
        rpc::Invoke<v1::FindMissingResponse>(
            [&](auto* context, auto* out) { return stub.FindMissing(context, request, out); }, CallOptionsOf(options)));
    for (const std::string& raw : response.missing()) {
      const std::optional<git::ObjectId> id = git::FromRaw(raw);
      if (!id) return absl::InternalError("the server answered FindMissing with something that is no id");
      state.missing.insert(*id);
    }
    // Keeps the head of the first answer, so that a push in between is detected.
    if (begin == 0) state.head = response.head();
  }
  return absl::OkStatus();
}

absl::StatusOr<ServerState> FindMissing(v1::FileService::StubInterface& stub, const PushOptions& options,
                                        const Snapshot& snapshot) {
  ServerState state;
  MissingIds seen;
  std::vector<git::ObjectId> ids;
  const auto add = [&](const git::ObjectId& id) {
    if (seen.insert(id).second) ids.push_back(id);
  };
  add(snapshot.tree);
  if (snapshot.files.size() + snapshot.trees.size() > kAskAllAtOnce) {
    RISEML_RETURN_IF_ERROR(AskFor(stub, options, ids, state));
    // If the server has a tree, it has everything in it.
    if (state.missing.empty()) return state;
    ids.clear();
  }
  for (const SnapshotTree& tree : snapshot.trees) add(tree.id);
  for (const SnapshotFile& file : snapshot.files) add(file.id);
  RISEML_RETURN_IF_ERROR(AskFor(stub, options, ids, state));
  return state;
}

// One upload on one stream.
class Upload final : public FileConsumer {
 public:
  Upload(const PushOptions& options, const Snapshot& snapshot, ServerState state)
      : options_(options), snapshot_(snapshot), state_(std::move(state)), packer_([this](const v1::PushFrame& frame) {
          v1::PushRequest request;
          *request.mutable_frame() = frame;
          return Write(request);
        }) {
    for (const SnapshotTree& tree : snapshot.trees) {
      if (!state_.missing.contains(tree.id)) continue;
      total_ += static_cast<std::int64_t>(tree.content.size());
      ++size_.objects;
    }
    MissingIds counted;
    for (const SnapshotFile& file : snapshot.files) {
      if (!state_.missing.contains(file.id)) continue;
      ++size_.files;
      if (!counted.insert(file.id).second) continue;
      ++size_.objects;
      size_.bytes += file.file.stamp.bytes;
      size_.largest.push_back(&file);
    }
    const std::size_t named = std::min(size_.largest.size(), kLargestNamed);
    std::partial_sort(size_.largest.begin(), size_.largest.begin() + named, size_.largest.end(),
                      [](const auto* a, const auto* b) { return a->file.stamp.bytes > b->file.stamp.bytes; });
    size_.largest.resize(named);
    total_ += size_.bytes;
  }

  const UploadSize& size() const { return size_; }

  absl::StatusOr<PushOutcome> Run(v1::FileService::StubInterface& stub) {
    rpc::Prepare(context_, options_.timeout, options_.request_id.empty() ? NewUuid() : options_.request_id,
                 options_.credential);
    PushOutcome outcome;
    writer_ = stub.Push(&context_, &outcome.response);
    const absl::Status sent = Send();
    if (!sent.ok() && !stream_ended_) context_.TryCancel();
    if (sent.ok()) writer_->WritesDone();
    const absl::Status finished = rpc::FromGrpc(writer_->Finish());
    // If the server ended the stream, the status has its reason or its answer.
    if (!sent.ok() && !stream_ended_) return sent;
    if (absl::IsCancelled(finished))
      return absl::CancelledError(
          "the server ended the upload of the code; it does so when hardly anything arrives for 30 seconds; "
          "check the connection and try again");
    RISEML_RETURN_IF_ERROR(While("push code", finished));
    // A server that already has the tree answers before it has read everything. Its stream may then end here before the
    // answer arrives.
    if (!outcome.response.has_revision()) return absl::UnavailableError("the answer to the push of the code was lost");
    outcome.uploaded_bytes = done_;
    outcome.uploaded_objects = objects_;
    return outcome;
  }

  absl::Status Begin(std::int64_t bytes) override {
    if (bytes != file_->file.stamp.bytes) return Changed();
    hasher_.Start(git::ObjectKind::kBlob, bytes);
    return packer_.Begin(v1::ObjectPiece::BLOB, file_->id, bytes);
  }
  absl::Status Append(absl::string_view piece) override {
    hasher_.Update(piece);
    RISEML_RETURN_IF_ERROR(packer_.Append(piece));
    Report(static_cast<std::int64_t>(piece.size()));
    return absl::OkStatus();
  }

 private:
  absl::Status Send() {
    v1::PushRequest request;
    v1::PushHeader& header = *request.mutable_header();
    header.set_project(options_.project);
    header.set_tree(std::string(git::Raw(snapshot_.tree)));
    header.set_parent(state_.head);
    *header.mutable_snapshot_window() = ToProtoDuration(snapshot_.window);
    RISEML_RETURN_IF_ERROR(Write(request));
    Report(0);
    for (const SnapshotTree& tree : snapshot_.trees) {
      if (state_.missing.erase(tree.id) == 0) continue;
      RISEML_RETURN_IF_ERROR(
          packer_.Begin(v1::ObjectPiece::TREE, tree.id, static_cast<std::int64_t>(tree.content.size())));
      RISEML_RETURN_IF_ERROR(packer_.Append(tree.content));
      Sent(tree.content.size());
    }
    for (const SnapshotFile& file : snapshot_.files)
      if (state_.missing.erase(file.id) > 0) RISEML_RETURN_IF_ERROR(SendFile(file));
    return packer_.Flush();
  }

  absl::Status SendFile(const SnapshotFile& file) {
    file_ = &file;
    if (file.file.mode == git::Mode::kSymlink) {
      RISEML_RETURN_IF_ERROR(Begin(static_cast<std::int64_t>(file.file.link_target.size())));
      RISEML_RETURN_IF_ERROR(Append(file.file.link_target));
    } else if (file.spooled) {
      RISEML_RETURN_IF_ERROR(snapshot_.spool->Read(*file.spooled, *this));
    } else {
      const absl::Status read = ReadOnce(absl::StrCat(snapshot_.root, "/", file.file.path), *this).status();
      if (absl::IsNotFound(read)) return Changed();
      RISEML_RETURN_IF_ERROR(read);
    }
    // Compares the bytes that were sent, not those read before.
    if (hasher_.Finish() != file.id) return Changed();
    ++objects_;
    return absl::OkStatus();
  }

  void Sent(std::size_t bytes) {
    ++objects_;
    Report(static_cast<std::int64_t>(bytes));
  }

  void Report(std::int64_t bytes) {
    done_ += bytes;
    if (options_.progress) options_.progress(done_, total_);
  }

  absl::Status Changed() const {
    return Error(Reason::kFileChanged, absl::StrCat(file_->file.path,
                                                    " changed each time it was sent; stop what writes to it, or "
                                                    "ignore it by a line in .risemlignore"));
  }

  absl::Status Write(const v1::PushRequest& request) {
    if (writer_->Write(request)) return absl::OkStatus();
    stream_ended_ = true;
    return absl::UnavailableError("the server ended the stream");
  }

  const PushOptions& options_;
  const Snapshot& snapshot_;
  ServerState state_;
  push::FramePacker packer_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientWriterInterface<v1::PushRequest>> writer_;
  bool stream_ended_ = false;
  const SnapshotFile* file_ = nullptr;
  git::ObjectHasher hasher_;
  UploadSize size_;
  std::int64_t total_ = 0;
  std::int64_t done_ = 0;
  std::int64_t objects_ = 0;
};

// Adds to sorted paths.
void AddPaths(const std::vector<std::string>& more, std::vector<std::string>& paths) {
  paths.insert(paths.end(), more.begin(), more.end());
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
}

bool IsWorthARetry(const absl::Status& status) {
  return HasReason(status, Reason::kPushOutdated) || rpc::IsTransient(status);
}

}  // namespace

absl::StatusOr<v1::Limits> GetLimits(v1::FileService::StubInterface& stub, const PushOptions& options) {
  const std::shared_ptr<void> waiting = Waiting(options);
  return rpc::Invoke<v1::Limits>(
      [&](auto* context, auto* out) { return stub.GetLimits(context, v1::GetLimitsRequest(), out); },
      CallOptionsOf(options));
}

absl::StatusOr<PushOutcome> Push(v1::FileService::StubInterface& stub, const PushOptions& options,
                                 const Snapshot& snapshot, const BeforePush& before_push) {
  for (int retry = 0;; ++retry) {
    RISEML_ASSIGN_OR_RETURN(ServerState state, FindMissing(stub, options, snapshot));
    Upload upload(options, snapshot, std::move(state));
    if (before_push) RISEML_RETURN_IF_ERROR(before_push(snapshot, upload.size()));
    absl::StatusOr<PushOutcome> outcome = upload.Run(stub);
    if (outcome.ok() || !IsWorthARetry(outcome.status()) || retry == kPushRetries) return outcome;
    if (rpc::IsTransient(outcome.status()))
      SystemSleep(std::max(rpc::Backoff(retry), RetryDelayOf(outcome.status()).value_or(absl::ZeroDuration())));
  }
}

absl::StatusOr<SyncOutcome> SyncProject(v1::FileService::StubInterface& stub, const PushOptions& options,
                                        SnapshotOptions snapshot_options, const BeforePush& before_push) {
  RISEML_ASSIGN_OR_RETURN(snapshot_options.limits, GetLimits(stub, options));
  std::vector<std::string> moving;
  bool created = false;  // by an earlier round
  for (std::size_t round = 0;; ++round) {
    snapshot_options.copies = kTries[round];
    RISEML_ASSIGN_OR_RETURN(Snapshot snapshot, TakeSnapshot(snapshot_options));
    absl::StatusOr<PushOutcome> outcome = Push(stub, options, snapshot, before_push);
    const bool moved = HasReason(outcome.status(), Reason::kFileChanged) && round + 1 < std::size(kTries);
    if (!moved) RISEML_RETURN_IF_ERROR(outcome.status());
    const std::vector<std::string> changed = ChangedSince(snapshot);
    // Repeats once or twice if somebody has saved a file meanwhile, but not for a file that is written all the time.
    const bool again = moved || (round < kMoreRevisions && !changed.empty() && snapshot.moving.empty());
    created = created || (outcome.ok() && outcome->response.project_created());
    if (again) {
      AddPaths(changed, snapshot_options.copied);
      continue;
    }
    AddPaths(snapshot.moving, moving);
    AddPaths(changed, moving);
    outcome->response.set_project_created(created);
    return SyncOutcome{*std::move(outcome), std::move(snapshot), std::move(moving)};
  }
}

}  // namespace riseml::sync
