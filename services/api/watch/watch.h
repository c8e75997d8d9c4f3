// Watch streams: callback reactors that keep a position in the feed and write what is new. A watcher needs neither a
// thread nor a queue of its own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/api/data/watch_cache.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"
#include "services/common/rpc/stream_writer.h"
#include "services/common/rpc/user_calls.h"

namespace riseml::api {

// Messages that a watcher has to write next.
template <class Response>
struct WatchBatch {
  std::vector<Response> responses;
  bool end = false;      // the stream ends with OK after these
  bool more = false;     // there is more: `fill` is called again without a wake-up
  std::string root_uid;  // not empty: from now on the stream gets only changes below this root
};

// Bounds how often a user's stream is filled: a burst of ten, then four times a second. Changes in between are sent
// together.
class Pace {
 public:
  // False: not yet.
  bool Take(absl::Time now) {
    left_ = std::min(kBurst, left_ + absl::ToDoubleSeconds(now - last_) * kPerSecond);
    last_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  static constexpr double kBurst = 10, kPerSecond = 4;
  double left_ = kBurst;
  absl::Time last_ = absl::UnixEpoch();
};

// A stream that is refused at once.
template <class Response>
class RefusedWatch final : public grpc::ServerWriteReactor<Response> {
 public:
  // Owns itself until gRPC is done with it.
  static RefusedWatch* Start(const absl::Status& status) { return new RefusedWatch(status); }
  void OnDone() override { delete this; }

 private:
  explicit RefusedWatch(const absl::Status& status) { this->Finish(rpc::ToGrpc(status)); }
};

// One open stream. `fill` is called on the executor, never twice at once, and gives what is new since its last call.
//
// Between two calls of `fill` the stream writes one response after the other; a slow reader holds at most one batch.
// The feed wakes an idle stream every 15 s, so that `fill` can check access anew and send a sign of life.
template <class Response>
class Watch final : public grpc::ServerWriteReactor<Response>, public std::enable_shared_from_this<Watch<Response>> {
 public:
  using Fill = std::function<absl::StatusOr<WatchBatch<Response>>()>;

  // The stream owns itself until gRPC is done with it. A user's stream has a permit and is paced.
  static Watch* Start(WatchCache& feed, Executor& executor, Fill fill,
                      std::optional<rpc::UserCalls::Permit> permit = std::nullopt) {
    auto watch = std::shared_ptr<Watch>(new Watch(feed, executor, std::move(fill), std::move(permit)));
    watch->self_ = watch;
    const int subscription = feed.Subscribe([weak = std::weak_ptr<Watch>(watch)] {
      if (const auto strong = weak.lock()) strong->Wake();
    });
    {
      MutexLock lock(watch->mu_);
      watch->subscription_ = subscription;
      watch->writer_.Attach(watch.get());
      watch->filling_ = false;
      watch->news_ = true;
    }
    watch->Advance();
    return watch.get();
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mu_);
      if (!ok) cancelled_ = true;
      writer_.Written();
    }
    Advance();
  }
  void OnCancel() override {
    {
      MutexLock lock(mu_);
      cancelled_ = true;
    }
    Advance();
  }
  void OnDone() override {
    feed_.Unsubscribe(subscription_);
    self_.reset();
  }

 private:
  Watch(WatchCache& feed, Executor& executor, Fill fill, std::optional<rpc::UserCalls::Permit> permit)
      : feed_(feed), executor_(executor), fill_(std::move(fill)), permit_(std::move(permit)) {}

  void Wake() {
    {
      MutexLock lock(mu_);
      news_ = true;
    }
    Advance();
  }

  // The one place that decides what happens next.
  void Advance() {
    MutexLock lock(mu_);
    if (writer_.ending() || writer_.writing() || filling_) return;
    if (cancelled_) return writer_.End(grpc::Status::CANCELLED);
    if (!pending_.empty()) {
      current_ = std::move(pending_.front());
      pending_.pop_front();
      return writer_.Write(&current_);
    }
    if (end_) return writer_.End(end_status_);
    if (!more_) {
      if (!news_) return;
      if (permit_ && !pace_.Take(clock_.Now())) return feed_.WakeLater(subscription_);
      news_ = false;
    }
    more_ = false;  // changes from now on are read after the rest
    filling_ = true;
    executor_.Run([self = this->shared_from_this()] { self->FillOnce(); });
  }

  void FillOnce() {
    absl::StatusOr<WatchBatch<Response>> batch = fill_();
    if (batch.ok() && !batch->root_uid.empty()) feed_.Narrow(subscription_, batch->root_uid);
    {
      MutexLock lock(mu_);
      filling_ = false;
      if (!batch.ok()) {
        end_ = true;
        end_status_ = rpc::ToGrpc(batch.status());
      } else {
        for (Response& response : batch->responses) pending_.push_back(std::move(response));
        end_ = batch->end;
        more_ = batch->more;
      }
    }
    Advance();
  }

  WatchCache& feed_;
  Executor& executor_;
  const Fill fill_;
  const std::optional<rpc::UserCalls::Permit> permit_;  // of a user's stream
  const SystemClock clock_;
  int subscription_ = 0;  // set by Start before the first fill
  std::shared_ptr<Watch> self_;
  Mutex mu_;
  Pace pace_ ABSL_GUARDED_BY(mu_);
  std::deque<Response> pending_ ABSL_GUARDED_BY(mu_);
  Response current_ ABSL_GUARDED_BY(mu_);
  grpc::Status end_status_ ABSL_GUARDED_BY(mu_) = grpc::Status::OK;
  bool news_ ABSL_GUARDED_BY(mu_) = false;    // woken since the last fill that did not go on with `more_`
  bool more_ ABSL_GUARDED_BY(mu_) = false;    // the last fill has more to return
  bool filling_ ABSL_GUARDED_BY(mu_) = true;  // true until Start is done, as the feed may wake it before
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool end_ ABSL_GUARDED_BY(mu_) = false;
  rpc::StreamWriter<Watch> writer_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::api
