#include "services/agent/process/process_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

absl::Status AddToEpoll(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError(errno, "watch a process");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessWatcher>> ProcessWatcher::Start(
    std::function<void(const std::string&)> on_event) {
  std::unique_ptr<ProcessWatcher> watcher(new ProcessWatcher(std::move(on_event)));
  watcher->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  watcher->changes_ = UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  watcher->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watcher->epoll_.valid() || !watcher->changes_.valid() || !watcher->wake_.valid())
    return ErrnoError(errno, "make descriptors to watch processes (is the limit of inotify instances reached?)");
  for (const int fd : {watcher->changes_.get(), watcher->wake_.get()})
    RISEML_RETURN_IF_ERROR(AddToEpoll(watcher->epoll_.get(), fd));
  watcher->thread_ = std::jthread([raw = watcher.get()](std::stop_token stop) { raw->Loop(stop); });
  return watcher;
}

ProcessWatcher::~ProcessWatcher() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

absl::Status ProcessWatcher::WatchProcess(const std::string& key, const std::string& what, UniqueFd process) {
  MutexLock lock(mu_);
  std::erase_if(processes_, [&](const auto& entry) { return entry.second.key == key && entry.second.what == what; });
  RISEML_RETURN_IF_ERROR(AddToEpoll(epoll_.get(), process.get()));
  const int fd = process.get();
  processes_[fd] = {key, what, std::move(process)};
  return absl::OkStatus();
}

absl::Status ProcessWatcher::WatchFile(const std::string& key, const std::string& path) {
  MutexLock lock(mu_);
  if (files_.contains(key)) return absl::OkStatus();
  const int watch = inotify_add_watch(changes_.get(), path.c_str(), IN_MODIFY);
  if (watch < 0) return ErrnoError(errno, absl::StrCat("watch ", path));
  files_[key] = watch;
  file_keys_[watch] = key;
  return absl::OkStatus();
}

void ProcessWatcher::Forget(const std::string& key) {
  MutexLock lock(mu_);
  std::erase_if(processes_, [&](const auto& entry) { return entry.second.key == key; });
  const auto it = files_.find(key);
  if (it == files_.end()) return;
  inotify_rm_watch(changes_.get(), it->second);
  file_keys_.erase(it->second);
  files_.erase(it);
}

void ProcessWatcher::OnFileEvents() {
  alignas(inotify_event) char buffer[16384];
  std::set<std::string> keys;
  ssize_t n = 0;
  while ((n = read(changes_.get(), buffer, sizeof buffer)) > 0) {
    MutexLock lock(mu_);
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      const auto it = file_keys_.find(event->wd);
      if (it != file_keys_.end()) keys.insert(it->second);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  for (const std::string& key : keys) on_event_(key);
}

void ProcessWatcher::Loop(std::stop_token stop) {
  while (!stop.stop_requested()) {
    epoll_event events[32];
    const int n = epoll_wait(epoll_.get(), events, 32, -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == changes_.get()) OnFileEvents();
      if (fd == changes_.get() || fd == wake_.get()) continue;
      std::string key;
      {
        MutexLock lock(mu_);
        const auto it = processes_.find(fd);
        if (it == processes_.end()) continue;
        key = it->second.key;
        processes_.erase(it);  // closing it ends the watch
      }
      on_event_(key);
    }
  }
}

}  // namespace riseml::agent
