// One Follow call: the streams it covers, its position in each, and its next response.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/log_registry.pb.h"
#include "riseml/v1/job.pb.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/open_calls.h"
#include "services/common/rpc/stream_writer.h"
#include "services/loghandler/follow/follow_handler.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// Thread-safe. Streams with news stand in a queue; the first is read until nothing is left or its turn is over, then
// the next. Only the pump, one task at a time on the executor, reads from disk.
class Follower : public std::enable_shared_from_this<Follower> {
 public:
  Follower(FollowHandler& handler, grpc::CallbackServerContext* context, rpc::Call call, v1::FollowRequest request);

  // UUID of the user who calls, or of the owner of the job that calls.
  const std::string& user() const { return call_.caller.user_uid(); }
  // Number of cursors in the request.
  std::size_t first_cursors() const { return first_cursors_; }

  // The reactor of the call. Once; before everything else.
  grpc::ServerWriteReactor<v1::FollowResponse>* Begin();

  // Asks api again which streams exist: now, or soon if it was asked a moment ago.
  void List();
  void OnNews(const StreamId& id);
  void Tick(absl::Time now);
  // Ends the call, once a message in flight has gone.
  void End(const absl::Status& status);

 private:
  class Reactor;
  struct Entry {
    std::string job;                                  // resource name
    v1::Attempt::LogState state = v1::Attempt::OPEN;  // as api knows it
    std::int64_t api_bytes = 0;
    std::optional<std::int64_t> cursor;  // from the request
    std::int64_t offset = -1;            // of the next byte; -1: not decided yet
    std::int64_t present_end = 0;        // durable end when the offset was decided
    bool late = false;                   // appeared after the call began
    bool announced = false;
    bool queued = false;  // stands in ready_
    bool news = false;    // since the pump last looked
    bool done = false;
  };

  void Cancel();
  void OnWriteDone(bool ok);
  void OnDone();
  void OnListed(absl::Time asked, std::uint64_t changes, absl::StatusOr<internal::v1::ListStreamsResponse> response);
  void OnChecked(const absl::Status& status);
  void Pump();
  bool PumpOnce();
  bool PumpIdleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<bool> Advance(const StreamId& id, Entry& entry, v1::FollowResponse* response);
  absl::StatusOr<bool> AdvanceOwn(const StreamId& id, Entry& entry, v1::FollowResponse* response);
  absl::Status Position(const Stream& stream, Entry& entry);
  bool SayEnd(const StreamId& id, const StreamState& state, const Entry& entry, v1::FollowResponse* response);
  void ListLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MergeLocked(const internal::v1::ListStreamsResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueLocked(const StreamId& id, Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SchedulePumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  FollowHandler& handler_;  // outlives every call
  const rpc::Call call_;
  const absl::Time start_;
  v1::FollowRequest request_;         // without its cursors
  v1::FollowResponse response_;       // of the pump, then of the write in flight
  rpc::OpenCalls::Handle open_call_;  // from Begin to OnDone

  Mutex mu_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mu_);
  rpc::StreamWriter<Reactor> writer_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<StreamId, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::size_t first_cursors_ = 0;                                             // set before it is shared
  absl::flat_hash_map<StreamId, std::int64_t> cursors_ ABSL_GUARDED_BY(mu_);  // of the request
  std::deque<StreamId> ready_ ABSL_GUARDED_BY(mu_);
  std::size_t open_entries_ ABSL_GUARDED_BY(mu_) = 0;  // not done
  std::int64_t turn_bytes_ ABSL_GUARDED_BY(mu_) = 0;   // sent of the first of ready_ in its turn
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;          // a pump is posted or runs
  bool heartbeat_due_ ABSL_GUARDED_BY(mu_) = false;
  bool listed_ ABSL_GUARDED_BY(mu_) = false;
  bool listing_ ABSL_GUARDED_BY(mu_) = false;
  bool list_wanted_ ABSL_GUARDED_BY(mu_) = false;
  bool all_ended_ ABSL_GUARDED_BY(mu_) = false;  // api: no further stream will appear
  bool checking_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time list_not_before_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time last_list_ ABSL_GUARDED_BY(mu_);
  absl::Time last_check_ ABSL_GUARDED_BY(mu_);
  absl::Time last_write_ ABSL_GUARDED_BY(mu_);
  absl::Time ending_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::loghandler
