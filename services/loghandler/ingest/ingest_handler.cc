#include "services/loghandler/ingest/ingest_handler.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/stream_writer.h"

namespace riseml::loghandler {
namespace {

constexpr char kIngestMethod[] = "riseml.v1.LogService/Ingest";

}  // namespace

// State of one call. The reactor belongs to gRPC and goes with OnDone; tasks and the committer hold this instead.
class IngestCall : public std::enable_shared_from_this<IngestCall> {
 public:
  class Reactor final : public grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse> {
   public:
    explicit Reactor(std::shared_ptr<IngestCall> call) : call_(std::move(call)) {}
    void OnReadDone(bool ok) override { call_->OnReadDone(ok); }
    void OnWriteDone(bool ok) override { call_->OnWriteDone(ok); }
    void OnCancel() override { call_->End(absl::CancelledError("cancelled")); }
    void OnDone() override {
      call_->OnDone();
      delete this;
    }

   private:
    std::shared_ptr<IngestCall> call_;
  };

  IngestCall(IngestHandler& handler, rpc::Call call)
      : handler_(handler), call_(std::move(call)), start_(rpc::StartOfCall()) {
    id_ = {call_.caller.job_uid(), call_.caller.attempt()};
    record_.set_job_uid(id_.job_uid);
    record_.set_attempt(id_.attempt);
  }

  // Begins the call on a new reactor.
  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Begin() {
    auto* reactor = new Reactor(shared_from_this());
    MutexLock lock(mu_);
    reactor_ = reactor;
    writer_.Attach(reactor);
    return reactor;
  }

  void StartReading() {
    MutexLock lock(mu_);
    if (reactor_ != nullptr && !writer_.ending()) reactor_->StartRead(&request_);
  }

  // Ends the call once a write in flight is done.
  void End(const absl::Status& status) {
    MutexLock lock(mu_);
    EndLocked(status);
  }

  void OnDurable() {
    MutexLock lock(mu_);
    ++durable_news_;
    if (std::exchange(record_waits_, false)) RunLocked();
    AnswerLocked();
  }

  void GoBack() {
    MutexLock lock(mu_);
    // One answer is enough for a run of blocks that all lie too far ahead.
    if (!std::exchange(told_back_, true)) must_answer_ = true;
  }

  const StreamId& id() const { return id_; }

 private:
  void OnReadDone(bool ok) {
    MutexLock lock(mu_);
    if (ok) return RunLocked();
    half_closed_ = true;
    AnswerLocked();
  }

  void OnWriteDone(bool ok) {
    MutexLock lock(mu_);
    if (!ok) EndLocked(absl::CancelledError("the shipper has gone"));
    writer_.Written();
    if (response_.complete()) return EndLocked(absl::OkStatus());
    AnswerLocked();
  }

  void OnDone() {
    {
      MutexLock lock(mu_);
      reactor_ = nullptr;
      writer_.Detach();
    }
    handler_.Unregister(id_, this);
    handler_.metrics_.shippers.Decrement();
  }

  void RunLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    handler_.executor_.Run([self = shared_from_this()] { self->Process(); });
  }

  // Runs on the executor; request_ and record_ are not touched by anybody else until the next read is started.
  void Process() {
    const absl::StatusOr<bool> done = Handle();
    MutexLock lock(mu_);
    if (!done.ok()) return EndLocked(done.status());
    AnswerLocked();
    if (*done && reactor_ != nullptr && !writer_.ending()) reactor_->StartRead(&request_);
  }

  // False when the message has to wait; Process runs again then.
  absl::StatusOr<bool> Handle() {
    switch (request_.part_case()) {
      case v1::IngestRequest::kHello: {
        if (stream_ != nullptr)
          return Error(Reason::kInvalidArgument, "hello must be the first message, and the only one");
        if (!handler_.owns_(id_))
          return Error(Reason::kUnavailable, "this log handler does not own the log now; call again");
        RISEML_ASSIGN_OR_RETURN(std::shared_ptr<Stream> stream, handler_.store_.Get(id_));
        MutexLock lock(mu_);
        stream_ = std::move(stream);
        must_answer_ = true;
        return true;
      }
      case v1::IngestRequest::kBlock:
      case v1::IngestRequest::kEnd:
        if (stream_ == nullptr) return Error(Reason::kInvalidArgument, "the first message must be hello");
        return TakeRecord();
      case v1::IngestRequest::PART_NOT_SET:
        return Error(Reason::kInvalidArgument, "message without hello, block or end");
    }
    return true;
  }

  absl::StatusOr<bool> TakeRecord() {
    if (record_.part_case() == internal::v1::LogRecord::PART_NOT_SET) {  // else it has waited
      if (request_.has_end()) {
        *record_.mutable_end() = request_.end();
      } else {
        record_.mutable_block()->Swap(request_.mutable_block());
      }
    }
    while (true) {
      const std::int64_t news = DurableNews();
      RISEML_ASSIGN_OR_RETURN(Taken taken, handler_.core_.Take(handler_, record_));
      MutexLock lock(mu_);
      if (taken.action == IngestAction::kWait) {
        if (durable_news_ != news) continue;
        record_waits_ = true;
        return false;
      }
      stream_ = std::move(taken.stream);
      end_sent_ = end_sent_ || record_.has_end();
      if (taken.action != IngestAction::kGoBack) told_back_ = false;
      record_.clear_part();
      return true;
    }
  }

  std::int64_t DurableNews() {
    MutexLock lock(mu_);
    return durable_news_;
  }

  // Writes what is new about the stream, if anything is and no write is in flight.
  void AnswerLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writer_.ending()) return;
    if (stream_ == nullptr) {
      if (half_closed_) EndLocked(absl::OkStatus());
      return;
    }
    const StreamState state = stream_->state();
    if (end_sent_ && !state.end_error.ok()) return EndLocked(state.end_error);
    if (writer_.writing()) return;
    if (must_answer_ || state.durable_offset > response_.expected_offset() || state.complete) {
      must_answer_ = false;
      response_.set_expected_offset(state.durable_offset);
      response_.set_complete(state.complete);
      writer_.Write(&response_);
    } else if (half_closed_ && state.durable_offset == state.next_offset) {
      EndLocked(absl::OkStatus());
    }
  }

  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!writer_.ending()) writer_.End(rpc::Finish(call_, start_, status));
  }

  IngestHandler& handler_;  // outlives every call
  const rpc::Call call_;
  const absl::Time start_;
  StreamId id_;
  v1::IngestRequest request_;       // of the read in flight, then of Process
  internal::v1::LogRecord record_;  // made of request_

  Mutex mu_;
  Reactor* reactor_ ABSL_GUARDED_BY(mu_) = nullptr;
  rpc::StreamWriter<Reactor> writer_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Stream> stream_;                    // set by Process
  v1::IngestResponse response_ ABSL_GUARDED_BY(mu_);  // newest answer; not changed while it is written
  bool must_answer_ ABSL_GUARDED_BY(mu_) = false;
  bool end_sent_ ABSL_GUARDED_BY(mu_) = false;
  bool told_back_ ABSL_GUARDED_BY(mu_) = false;
  bool record_waits_ ABSL_GUARDED_BY(mu_) = false;      // for the disk
  std::int64_t durable_news_ ABSL_GUARDED_BY(mu_) = 0;  // calls of OnDurable so far
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
};

grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* IngestHandler::Ingest(
    grpc::CallbackServerContext* context) {
  const auto call = std::make_shared<IngestCall>(*this, rpc::CallOf(*context, kIngestMethod));
  auto* reactor = call->Begin();
  metrics_.shippers.Increment();
  Register(call->id(), call);
  call->StartReading();
  return reactor;
}

void IngestHandler::Register(const StreamId& id, const std::shared_ptr<IngestCall>& call) {
  std::shared_ptr<IngestCall> older;
  bool stopped = false;
  {
    MutexLock lock(mu_);
    stopped = stopped_;
    if (!stopped) older = std::exchange(calls_[id], call);
  }
  if (stopped) call->End(Error(Reason::kShuttingDown, "the log handler is stopping; call again"));
  if (older != nullptr) older->End(absl::AbortedError("another call ships this log now"));
}

void IngestHandler::Unregister(const StreamId& id, const IngestCall* call) {
  std::shared_ptr<IngestCall> gone;  // released outside of the lock
  MutexLock lock(mu_);
  const auto it = calls_.find(id);
  if (it == calls_.end() || it->second.get() != call) return;
  gone = std::move(it->second);
  calls_.erase(it);
}

std::shared_ptr<IngestCall> IngestHandler::CallOf(const StreamId& id) {
  MutexLock lock(mu_);
  const auto it = calls_.find(id);
  return it == calls_.end() ? nullptr : it->second;
}

void IngestHandler::OnDurable(const Stream& stream) {
  if (const auto call = CallOf(stream.id()); call != nullptr) call->OnDurable();
}

void IngestHandler::GoBack(const StreamId& stream, std::int64_t /*expected_offset: the answer says what is durable*/) {
  if (const auto call = CallOf(stream); call != nullptr) call->GoBack();
}

void IngestHandler::Stop() {
  std::vector<std::shared_ptr<IngestCall>> calls;
  {
    MutexLock lock(mu_);
    stopped_ = true;
    for (const auto& [id, call] : calls_) calls.push_back(call);
  }
  for (const auto& call : calls) call->End(Error(Reason::kShuttingDown, "the log handler is stopping; call again"));
}

}  // namespace riseml::loghandler
