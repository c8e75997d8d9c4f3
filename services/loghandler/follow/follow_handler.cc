#include "services/loghandler/follow/follow_handler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/loghandler/follow/follow_messages.h"
#include "services/loghandler/follow/follower.h"

namespace riseml::loghandler {
namespace {

constexpr char kFollowMethod[] = "riseml.v1.LogService/Follow";

absl::Status Stopping() {
  return Error(Reason::kShuttingDown, "the log handler is stopping; call again with the cursors reached");
}

// `whose` says who has the readers, of which `used` are as many as `limit` allows.
absl::Status TooManyReaders(absl::string_view whose, std::size_t used, std::size_t limit) {
  return WithRetryDelay(LimitExceeded(absl::StrCat(whose, " ", used, " readers of logs already, of at most ", limit,
                                                   "; end some, or try again later"),
                                      static_cast<std::int64_t>(limit), static_cast<std::int64_t>(used)),
                        absl::Seconds(2));
}

}  // namespace

FollowHandler::FollowHandler(FollowOptions options, Store& store, StreamRegistry& registry, const StreamOwners& owners,
                             Executor& executor, rpc::OpenCalls& open_calls, const Clock& clock, LogMetrics& metrics)
    : options_(options),
      store_(store),
      registry_(registry),
      owners_(owners),
      executor_(executor),
      open_calls_(open_calls),
      clock_(clock),
      metrics_(metrics) {
  ticker_ = std::jthread([this](std::stop_token stop) { RunTicker(std::move(stop)); });
}

grpc::ServerWriteReactor<v1::FollowResponse>* FollowHandler::Follow(grpc::CallbackServerContext* context,
                                                                    const v1::FollowRequest* request) {
  absl::Status status = CheckFollowRequest(*request);
  // A follower whose request is refused keeps no copy of it.
  const auto follower = std::make_shared<Follower>(*this, context, rpc::CallOf(*context, kFollowMethod),
                                                   status.ok() ? *request : v1::FollowRequest());
  auto* reactor = follower->Begin();
  metrics_.followers.Increment();
  if (status.ok()) status = Add(follower);
  if (status.ok()) {
    follower->List();
  } else {
    follower->End(status);
  }
  return reactor;
}

absl::Status FollowHandler::Add(const std::shared_ptr<Follower>& follower) {
  MutexLock lock(mu_);
  if (stopped_) return Stopping();
  const auto it = of_user_.find(follower->user());
  const Share own = it == of_user_.end() ? Share() : it->second;
  if (own.readers >= options_.max_followers_per_user)
    return TooManyReaders("you have", own.readers, options_.max_followers_per_user);
  if (own.cursors + follower->first_cursors() > options_.max_cursors_per_user)
    return WithRetryDelay(
        LimitExceeded(absl::StrCat("your log readers resume at more than ", options_.max_cursors_per_user,
                                   " places; end some readers, or begin anew"),
                      options_.max_cursors_per_user, own.cursors + follower->first_cursors()),
        absl::Seconds(2));
  if (roots_.size() >= options_.max_followers)
    return TooManyReaders("all users together have", roots_.size(), options_.max_followers);
  roots_[follower];
  Share& share = of_user_[follower->user()];
  ++share.readers;
  share.cursors += follower->first_cursors();
  return absl::OkStatus();
}

void FollowHandler::Remove(const std::shared_ptr<Follower>& follower) {
  metrics_.followers.Decrement();
  MutexLock lock(mu_);
  if (roots_.erase(follower) == 0) return;  // was refused
  const auto it = of_user_.find(follower->user());
  it->second.cursors -= follower->first_cursors();
  if (--it->second.readers == 0) of_user_.erase(it);
}

void FollowHandler::Subscribe(const StreamId& id, const std::shared_ptr<Follower>& follower) {
  MutexLock lock(mu_);
  by_stream_[id].push_back(follower);
}

void FollowHandler::Unsubscribe(const StreamId& id, const Follower* follower) {
  MutexLock lock(mu_);
  const auto it = by_stream_.find(id);
  if (it == by_stream_.end()) return;
  std::erase_if(it->second, [follower](const auto& other) { return other.get() == follower; });
  if (it->second.empty()) by_stream_.erase(it);
}

void FollowHandler::SetRoot(const std::shared_ptr<Follower>& follower, const std::string& root) {
  MutexLock lock(mu_);
  if (const auto it = roots_.find(follower); it != roots_.end()) it->second = root;
}

std::uint64_t FollowHandler::changes() {
  MutexLock lock(mu_);
  return changes_;
}

bool FollowHandler::watching() {
  MutexLock lock(mu_);
  return watching_;
}

FollowHandler::Followers FollowHandler::All() {
  Followers all;
  MutexLock lock(mu_);
  for (const auto& [follower, root] : roots_) all.push_back(follower);
  return all;
}

void FollowHandler::OnNews(const StreamId& id) {
  Followers concerned;
  {
    MutexLock lock(mu_);
    const auto it = by_stream_.find(id);
    if (it != by_stream_.end()) concerned = it->second;
  }
  for (const auto& follower : concerned) follower->OnNews(id);
}

void FollowHandler::OnOwnersChanged() {
  std::vector<StreamId> followed;
  {
    MutexLock lock(mu_);
    for (const auto& [id, followers] : by_stream_) followed.push_back(id);
  }
  for (const StreamId& id : followed) OnNews(id);
}

void FollowHandler::OnRootsChanged(const std::vector<std::string>& roots) {
  const absl::flat_hash_set<std::string> changed(roots.begin(), roots.end());
  Followers concerned;
  {
    MutexLock lock(mu_);
    ++changes_;
    for (const auto& [follower, root] : roots_) {
      if (changed.contains(root)) concerned.push_back(follower);
    }
  }
  for (const auto& follower : concerned) follower->List();
}

void FollowHandler::SetWatching(bool watching) {
  {
    MutexLock lock(mu_);
    if (std::exchange(watching_, watching) == watching) return;
    ++changes_;
  }
  if (!watching) return;
  for (const auto& follower : All()) follower->List();
}

void FollowHandler::RunTicker(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mu_);
      never_.wait_for(mu_, stop, absl::ToChronoMicroseconds(options_.tick), [] { return false; });
    }
    const absl::Time now = clock_.Now();
    for (const auto& follower : All()) follower->Tick(now);
  }
}

void FollowHandler::Stop() {
  ticker_.request_stop();
  if (ticker_.joinable()) ticker_.join();
  {
    MutexLock lock(mu_);
    stopped_ = true;
  }
  for (const auto& follower : All()) follower->End(Stopping());
}

}  // namespace riseml::loghandler
