#include "services/loghandler/follow/follower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/follow/follow_messages.h"

namespace riseml::loghandler {
namespace {

constexpr int kStreamsPerTask = 32;           // then other followers get the thread
constexpr std::int64_t kTurnBytes = 1 << 20;  // then the next stream of this follower gets its turn
constexpr absl::Duration kMinListInterval = absl::Milliseconds(200);
constexpr absl::Duration kFirstListPatience = absl::Seconds(5);
constexpr absl::Duration kMaxListInterval = absl::Seconds(2);
constexpr absl::Duration kListLimit = absl::Seconds(30);  // a request without an answer for so long is sent again
// Followers poll even while api reports changes: a missed change must not stop them for ever.
constexpr absl::Duration kPollWatching = absl::Seconds(5);
constexpr int kListPause = 5;                             // multiple of the time that the last answer took
constexpr absl::Duration kWriteGrace = absl::Seconds(5);  // for the last message of a call that ends

bool IsRefusal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

// Api could not answer; another try may work.
bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsAborted(status);
}

// The log itself cannot be read here; asking again would not help, and other logs are not concerned.
bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsNotFound(status) || HasReason(status, Reason::kNewerFormat);
}

}  // namespace

class Follower::Reactor final : public grpc::ServerWriteReactor<v1::FollowResponse> {
 public:
  explicit Reactor(std::shared_ptr<Follower> follower) : follower_(std::move(follower)) {}
  void OnWriteDone(bool ok) override { follower_->OnWriteDone(ok); }
  void OnCancel() override { follower_->End(absl::CancelledError("cancelled")); }
  void OnDone() override {
    follower_->OnDone();
    delete this;
  }

 private:
  std::shared_ptr<Follower> follower_;
};

Follower::Follower(FollowHandler& handler, grpc::CallbackServerContext* context, rpc::Call call,
                   v1::FollowRequest request)
    : handler_(handler),
      call_(std::move(call)),
      start_(rpc::StartOfCall()),
      request_(std::move(request)),
      context_(context) {
  for (const v1::StreamCursor& cursor : request_.cursors())
    cursors_[{cursor.job_uid(), cursor.attempt()}] = cursor.offset();
  first_cursors_ = cursors_.size();
  google::protobuf::RepeatedPtrField<v1::StreamCursor>().Swap(request_.mutable_cursors());  // frees their memory
  last_list_ = last_check_ = last_write_ = handler_.clock_.Now();
}

grpc::ServerWriteReactor<v1::FollowResponse>* Follower::Begin() {
  auto* reactor = new Reactor(shared_from_this());
  {
    MutexLock lock(mu_);
    writer_.Attach(reactor);
  }
  const std::weak_ptr<Follower> weak = weak_from_this();
  const auto end = [weak](const absl::Status& status) {
    if (const auto self = weak.lock()) self->End(status);
  };
  const auto cancel = [weak] {
    if (const auto self = weak.lock()) self->Cancel();
  };
  open_call_ = handler_.open_calls_.Enter(call_, {.end = end, .cancel = cancel});
  return reactor;
}

void Follower::List() {
  MutexLock lock(mu_);
  ListLocked();
}

void Follower::ListLocked() {
  const absl::Time now = handler_.clock_.Now();
  if (writer_.ending() || (listed_ && request_.no_follow())) return;
  list_wanted_ = listing_ || now < list_not_before_;
  if (list_wanted_) return;
  listing_ = true;
  last_list_ = now;
  handler_.registry_.ListStreams(call_.credential, request_.name(),
                                 [self = shared_from_this(), now, changes = handler_.changes()](
                                     absl::StatusOr<internal::v1::ListStreamsResponse> response) {
                                   self->OnListed(now, changes, std::move(response));
                                 });
}

void Follower::OnListed(absl::Time asked, std::uint64_t changes,
                        absl::StatusOr<internal::v1::ListStreamsResponse> response) {
  MutexLock lock(mu_);
  const absl::Time now = handler_.clock_.Now();
  listing_ = false;
  if (writer_.ending()) return;
  if (!response.ok()) {
    const bool first_failed = !listed_ && (!IsTransient(response.status()) || now - start_ > kFirstListPatience);
    if (first_failed || IsRefusal(response.status())) return EndLocked(response.status());
    list_wanted_ = true;
    list_not_before_ = now + (listed_ ? handler_.options_.poll : kMinListInterval);
    return;
  }
  list_not_before_ = now + std::clamp(kListPause * (now - asked), kMinListInterval, kMaxListInterval);
  if (!listed_) {
    handler_.SetRoot(shared_from_this(), response->root_uid());
    // Nobody has told this follower about changes since the request.
    if (handler_.changes() != changes) list_wanted_ = true;
  }
  last_check_ = now;
  MergeLocked(*response);
  SchedulePumpLocked();
}

void Follower::MergeLocked(const internal::v1::ListStreamsResponse& response) {
  for (const internal::v1::StreamInfo& info : response.streams()) {
    const StreamId id{info.job_uid(), info.attempt()};
    const auto [it, is_new] = entries_.try_emplace(id);
    Entry& entry = it->second;
    if (is_new) {
      ++open_entries_;
      entry.job = info.job();
      entry.late = listed_;
      if (const auto cursor = cursors_.find(id); cursor != cursors_.end()) entry.cursor = cursor->second;
      handler_.Subscribe(id, shared_from_this());
    }
    if (entry.done || (!is_new && entry.state == info.log_state())) continue;
    entry.state = info.log_state();
    entry.api_bytes = info.log_bytes();
    QueueLocked(id, entry);
  }
  listed_ = true;
  all_ended_ = response.ended();
}

void Follower::QueueLocked(const StreamId& id, Entry& entry) {
  entry.news = true;
  if (std::exchange(entry.queued, true)) return;
  ready_.push_back(id);
}

void Follower::OnNews(const StreamId& id) {
  MutexLock lock(mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end() || it->second.done) return;
  QueueLocked(id, it->second);
  SchedulePumpLocked();
}

void Follower::Tick(absl::Time now) {
  MutexLock lock(mu_);
  if (writer_.ending()) {
    // A reader that takes nothing would hold the call open for ever.
    if (writer_.writing() && context_ != nullptr && now - ending_since_ > kWriteGrace) context_->TryCancel();
    return;
  }
  if (listing_ && now - last_list_ >= kListLimit) listing_ = false;
  const bool polls = listed_ && now - last_list_ >= (handler_.watching() ? kPollWatching : handler_.options_.poll);
  if ((list_wanted_ && now >= list_not_before_) || polls) ListLocked();
  if (!listed_) return;
  if (!checking_ && now - last_check_ >= handler_.options_.recheck) {
    checking_ = true;
    last_check_ = now;
    handler_.registry_.CheckRead(call_.credential, request_.name(),
                                 [self = shared_from_this()](const absl::Status& status) { self->OnChecked(status); });
  }
  if (!writer_.writing() && now - last_write_ >= handler_.options_.heartbeat) {
    heartbeat_due_ = true;
    SchedulePumpLocked();
  }
}

void Follower::OnChecked(const absl::Status& status) {
  MutexLock lock(mu_);
  checking_ = false;
  if (IsRefusal(status)) EndLocked(status);
}

void Follower::SchedulePumpLocked() {
  if (pumping_ || writer_.writing() || writer_.ending()) return;
  pumping_ = true;
  handler_.executor_.Run([self = shared_from_this()] { self->Pump(); });
}

void Follower::Pump() {
  for (int i = 0; i < kStreamsPerTask; ++i) {
    if (!PumpOnce()) return;
  }
  MutexLock lock(mu_);
  pumping_ = false;
  SchedulePumpLocked();
}

// Looks at the first stream that has news. False when the pump is over: a message is on its way, or there is nothing to
// say.
bool Follower::PumpOnce() {
  StreamId id;
  Entry entry;
  {
    MutexLock lock(mu_);
    if (writer_.ending() || ready_.empty()) return PumpIdleLocked();
    id = ready_.front();
    Entry& current = entries_[id];
    current.news = false;
    entry = current;
  }
  response_.Clear();
  const absl::StatusOr<bool> said = Advance(id, entry, &response_);

  MutexLock lock(mu_);
  if (!said.ok() || writer_.ending()) {
    pumping_ = false;
    if (!said.ok()) EndLocked(While(absl::StrCat("follow log ", Print(id)), said.status()));
    return false;
  }
  Entry& current = entries_[id];
  current.offset = entry.offset;
  current.present_end = entry.present_end;
  current.announced = entry.announced;
  turn_bytes_ += static_cast<std::int64_t>(response_.chunk().data().size());
  const bool turn_over = !*said || turn_bytes_ >= kTurnBytes;
  if (entry.done) {
    current.done = true;
    --open_entries_;
    handler_.Unsubscribe(id, this);
  }
  if (entry.done || turn_over) {
    ready_.pop_front();
    turn_bytes_ = 0;
    current.queued = !entry.done && (*said || current.news);
    if (current.queued) ready_.push_back(id);
  }
  if (!*said) return true;
  WriteLocked();
  return false;
}

bool Follower::PumpIdleLocked() {
  pumping_ = false;
  if (writer_.ending()) return false;
  const bool over = request_.no_follow() || (all_ended_ && open_entries_ == 0 && !list_wanted_ && !listing_);
  if (listed_ && over) {
    EndLocked(absl::OkStatus());
  } else if (heartbeat_due_) {
    response_.Clear();
    response_.mutable_heartbeat();
    WriteLocked();
  }
  return false;
}

void Follower::WriteLocked() {
  pumping_ = false;
  heartbeat_due_ = false;
  last_write_ = handler_.clock_.Now();
  handler_.metrics_.followed_bytes.Increment(static_cast<double>(response_.chunk().data().size()));
  writer_.Write(&response_);
}

absl::Status Follower::Position(const Stream& stream, Entry& entry) {
  entry.present_end = stream.state().durable_offset;
  if (entry.cursor.has_value()) {
    if (*entry.cursor > entry.present_end && !handler_.options_.wait_for_cursor)
      return absl::OutOfRangeError(
          absl::StrCat("the cursor ", *entry.cursor, " is beyond the end ", entry.present_end));
    entry.offset = *entry.cursor;
  } else if (entry.late) {
    entry.offset = 0;
  } else if (request_.start_case() == v1::FollowRequest::kTailLines) {
    RISEML_ASSIGN_OR_RETURN(entry.offset, handler_.store_.TailOffset(stream, request_.tail_lines()));
  } else {
    entry.offset = request_.from_offset();
  }
  return absl::OkStatus();
}

// Fills the next message of a stream. False when there is none now. Works on a copy of the entry, without the lock.
absl::StatusOr<bool> Follower::Advance(const StreamId& id, Entry& entry, v1::FollowResponse* response) {
  if (const std::string owner = handler_.owners_.OwnerOf(id); !owner.empty()) {
    FillOwner(id, entry.job, owner, entry.late, response);
    entry.done = true;
    return true;
  }
  absl::StatusOr<bool> said = AdvanceOwn(id, entry, response);
  if (said.ok() || !IsDamage(said.status())) return said;
  if (!std::exchange(entry.announced, true)) {
    FillStream(id, entry.job, response);
    return true;
  }
  LogError("log_damaged", {{"log", Print(id)}, {"error", said.status().message()}});
  FillDamagedEnd(id, entry.offset >= 0 ? entry.offset : entry.cursor.value_or(0), said.status(), response);
  entry.done = true;
  return true;
}

absl::StatusOr<bool> Follower::AdvanceOwn(const StreamId& id, Entry& entry, v1::FollowResponse* response) {
  RISEML_ASSIGN_OR_RETURN(const std::shared_ptr<Stream> stream, handler_.store_.Get(id));
  if (entry.offset < 0) RISEML_RETURN_IF_ERROR(Position(*stream, entry));
  if (!std::exchange(entry.announced, true)) {
    FillStream(id, entry.job, response);
    return true;
  }
  const StreamState state = stream->state();  // before Read: once it is complete, Read sees every byte
  const bool at_present_end = request_.no_follow() && entry.offset >= entry.present_end;
  if (!at_present_end) {
    RISEML_ASSIGN_OR_RETURN(Chunk chunk, handler_.store_.Read(*stream, entry.offset));
    if (!chunk.empty()) {
      entry.offset = chunk.end();
      FillChunk(id, std::move(chunk), response);
      return true;
    }
  }
  if (entry.offset >= state.durable_offset && SayEnd(id, state, entry, response)) {
    entry.done = true;
    return true;
  }
  entry.done = at_present_end;
  return false;
}

bool Follower::SayEnd(const StreamId& id, const StreamState& state, const Entry& entry, v1::FollowResponse* response) {
  const bool known_to_api = entry.state == v1::Attempt::COMPLETE || entry.state == v1::Attempt::TRUNCATED;
  if (!state.complete && !known_to_api) return false;
  // Another log handler has stored the end; its owner will be known soon.
  const bool rest_elsewhere = entry.state == v1::Attempt::COMPLETE && entry.api_bytes > state.durable_offset;
  if (!state.complete && rest_elsewhere && !handler_.owners_.Owns(id)) return false;
  // An attempt that never began is complete without having a log here.
  const bool whole = entry.state == v1::Attempt::COMPLETE && entry.api_bytes == state.durable_offset;
  FillEnd(id, state.durable_offset, state.complete || whole, response);
  return true;
}

void Follower::OnWriteDone(bool ok) {
  MutexLock lock(mu_);
  if (!ok) EndLocked(absl::CancelledError("the reader has gone"));
  writer_.Written();
  SchedulePumpLocked();
}

void Follower::End(const absl::Status& status) {
  MutexLock lock(mu_);
  EndLocked(status);
}

// Cuts off a reader that does not take the message in flight.
void Follower::Cancel() {
  MutexLock lock(mu_);
  if (writer_.writing() && context_ != nullptr) context_->TryCancel();
}

void Follower::EndLocked(const absl::Status& status) {
  if (writer_.ending()) return;
  ending_since_ = handler_.clock_.Now();
  writer_.End(rpc::Finish(call_, start_, status));
}

void Follower::OnDone() {
  const std::shared_ptr<Follower> self = shared_from_this();
  open_call_.Release();
  {
    MutexLock lock(mu_);
    writer_.Detach();
    context_ = nullptr;
    for (const auto& [id, entry] : entries_) {
      if (!entry.done) handler_.Unsubscribe(id, this);
    }
    entries_.clear();
    ready_.clear();
  }
  handler_.Remove(self);
}

}  // namespace riseml::loghandler
