#include "services/common/rpc/open_calls.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/rpc/authorization.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

constexpr absl::Duration kPoll = absl::Seconds(1);  // while the watch does not work, or api could not be asked
constexpr absl::Duration kIdle = absl::Hours(1);
constexpr absl::Duration kPatience = absl::Milliseconds(500);

bool IsAway(const absl::Status& status) { return IsTransient(status) || absl::IsDeadlineExceeded(status); }

}  // namespace

struct OpenCalls::Handle::Entry {
  Entry(const Call& call, Hooks hooks) : caller(call.caller), credential(call.credential), hooks(std::move(hooks)) {}

  const internal::v1::Caller caller;  // who began it
  const std::string credential;
  const Hooks hooks;
  Mutex mu;  // held while a hook runs
  bool released ABSL_GUARDED_BY(mu) = false;
  bool cancelled ABSL_GUARDED_BY(mu) = false;
  bool ask ABSL_GUARDED_BY(mu) = true;  // api must be asked about it
  absl::Status end ABSL_GUARDED_BY(mu);
  absl::Time end_time ABSL_GUARDED_BY(mu);

  bool MustAsk() {
    MutexLock lock(mu);
    return ask;
  }
  // Set to false before asking, so that a change during the request makes a new one due.
  void SetAsk(bool value) {
    MutexLock lock(mu);
    ask = value;
  }

  // Ends the call when it may not go on.
  void Apply(const absl::StatusOr<internal::v1::Caller>& now, absl::Time time) {
    MutexLock lock(mu);
    if (released || !end.ok()) return;
    end = CheckStillAllowed(caller, now);
    if (end.ok()) return;
    LogInfo("open_call_ended",
            {{"user", caller.user()}, {"key", caller.key_id()}, {"why", std::string(end.message())}});
    end_time = time;
    if (hooks.end) hooks.end(end);
  }

  // Cancels a call that did not end. Returns how long its client still has; nothing when there is nothing to wait for.
  std::optional<absl::Duration> CancelWhenDue(absl::Time now) {
    MutexLock lock(mu);
    if (released || cancelled || end.ok() || !hooks.cancel) return std::nullopt;
    if (now - end_time < kPatience) return kPatience - (now - end_time);
    cancelled = true;
    hooks.cancel();
    return std::nullopt;
  }
};

OpenCalls::Handle& OpenCalls::Handle::operator=(Handle&& other) noexcept {
  Release();
  entry_ = std::move(other.entry_);
  return *this;
}

absl::Status OpenCalls::Handle::status() const {
  MutexLock lock(entry_->mu);
  return entry_->end;
}

void OpenCalls::Handle::Release() {
  if (entry_ == nullptr) return;
  {
    MutexLock lock(entry_->mu);
    entry_->released = true;
  }
  entry_.reset();
}

// One stream of AccessService.WatchAccess. Lives until OnDone.
class OpenCalls::AccessWatch final : public grpc::ClientReadReactor<internal::v1::WatchAccessResponse> {
 public:
  explicit AccessWatch(OpenCalls& owner) : owner_(owner) {
    Prepare(context_, absl::InfiniteDuration(), NewUuid());
    owner.stub_->async()->WatchAccess(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    owner_.OnNews(response_.generation());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override { owner_.OnWatchEnded(); }

 private:
  OpenCalls& owner_;
  grpc::ClientContext context_;
  const internal::v1::WatchAccessRequest request_;
  internal::v1::WatchAccessResponse response_;
};

OpenCalls::OpenCalls(RemoteAuthenticator& authenticator, const std::shared_ptr<grpc::Channel>& channel,
                     const Clock& clock)
    : authenticator_(authenticator), stub_(internal::v1::AccessService::NewStub(channel)), clock_(clock) {
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

OpenCalls::~OpenCalls() {
  thread_.request_stop();
  thread_.join();
  if (watch_ == nullptr) return;
  watch_->Cancel();
  MutexLock lock(mu_);
  wake_.wait(mu_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !watch_open_; });
}

OpenCalls::Handle OpenCalls::Enter(const Call& call, Hooks hooks) {
  Handle handle;
  handle.entry_ = std::make_shared<Entry>(call, std::move(hooks));
  {
    // Asks about the call once: a change since the check of its credential has not reached it.
    MutexLock lock(mu_);
    entries_.push_back(handle.entry_);
    woken_ = true;
  }
  wake_.notify_all();
  return handle;
}

void OpenCalls::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    KeepWatch();
    const std::vector<std::shared_ptr<Entry>> open = OpenEntries();
    absl::Duration pause = AskAbout(open, stop) ? kIdle : kPoll;
    for (const auto& entry : open) pause = std::min(pause, entry->CancelWhenDue(clock_.Now()).value_or(kIdle));
    MutexLock lock(mu_);
    if (generation_ < 0) pause = std::min(pause, kPoll);
    wake_.wait_for(mu_, stop, absl::ToChronoMilliseconds(pause),
                   [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_; });
  }
}

// Opens the watch anew when it has ended.
void OpenCalls::KeepWatch() {
  {
    MutexLock lock(mu_);
    if (watch_open_ || clock_.Now() - last_try_ < kPoll) return;
    watch_open_ = true;
  }
  last_try_ = clock_.Now();
  watch_ = std::make_unique<AccessWatch>(*this);
}

// Calls that are open now. Marks all of them for asking, once per second, while the watch of api does not work.
std::vector<std::shared_ptr<OpenCalls::Entry>> OpenCalls::OpenEntries() {
  std::vector<std::shared_ptr<Entry>> open;
  MutexLock lock(mu_);
  woken_ = false;
  if (generation_ < 0 && clock_.Now() - last_poll_ >= kPoll) {
    last_poll_ = clock_.Now();
    AskAllLocked();
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    std::shared_ptr<Entry> entry = it->lock();
    it = entry == nullptr ? entries_.erase(it) : std::next(it);
    if (entry != nullptr) open.push_back(std::move(entry));
  }
  return open;
}

// Asks api once about each credential that is marked for asking. False when api could not answer.
bool OpenCalls::AskAbout(const std::vector<std::shared_ptr<Entry>>& open, const std::stop_token& stop) {
  std::map<std::string, std::vector<std::shared_ptr<Entry>>> by_credential;
  for (const auto& entry : open)
    if (entry->MustAsk()) by_credential[entry->credential].push_back(entry);
  bool answered = true;
  for (const auto& [credential, entries] : by_credential) {
    if (stop.stop_requested()) return false;
    for (const auto& entry : entries) entry->SetAsk(false);
    const absl::StatusOr<internal::v1::Caller> now = authenticator_.Authenticate(credential);
    const bool told = now.ok() || absl::IsUnauthenticated(now.status());
    for (const auto& entry : entries) told ? entry->Apply(now, clock_.Now()) : entry->SetAsk(true);
    answered = answered && told;
    if (IsAway(now.status())) return false;  // each other one would take as long
  }
  return answered;
}

void OpenCalls::OnNews(std::int64_t generation) {
  {
    MutexLock lock(mu_);
    if (std::exchange(generation_, generation) == generation) return;
    AskAllLocked();
    woken_ = true;
  }
  wake_.notify_all();
}

void OpenCalls::OnWatchEnded() {
  MutexLock lock(mu_);
  watch_open_ = false;
  generation_ = -1;
  woken_ = true;
  wake_.notify_all();  // under the lock: this may be destroyed afterwards
}

void OpenCalls::AskAllLocked() {
  authenticator_.Forget();
  for (const std::weak_ptr<Entry>& weak : entries_)
    if (const std::shared_ptr<Entry> entry = weak.lock()) entry->SetAsk(true);
}

}  // namespace riseml::rpc
