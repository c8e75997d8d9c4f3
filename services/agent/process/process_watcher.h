// Reports when watched processes end or watched files change. One thread watches all of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe.
class ProcessWatcher {
 public:
  // `on_event` is called with the key, from the watcher's thread.
  static absl::StatusOr<std::unique_ptr<ProcessWatcher>> Start(std::function<void(const std::string& key)> on_event);
  ~ProcessWatcher();

  // Calls `on_event` once when the process behind the descriptor (of OpenProcess) has ended. One process per pair (key,
  // what); another one replaces it.
  absl::Status WatchProcess(const std::string& key, const std::string& what, UniqueFd process);
  // Calls `on_event` after each write to the file. One file per key.
  absl::Status WatchFile(const std::string& key, const std::string& path);
  // Stops calls for the key; one that is under way may still finish.
  void Forget(const std::string& key);

 private:
  explicit ProcessWatcher(std::function<void(const std::string&)> on_event) : on_event_(std::move(on_event)) {}
  void Loop(std::stop_token stop);
  void OnFileEvents();

  const std::function<void(const std::string&)> on_event_;
  UniqueFd epoll_, changes_, wake_;
  Mutex mu_;
  struct Process {
    std::string key, what;
    UniqueFd fd;
  };
  std::map<int, Process> processes_ ABSL_GUARDED_BY(mu_);      // by descriptor
  std::map<int, std::string> file_keys_ ABSL_GUARDED_BY(mu_);  // by inotify watch
  std::map<std::string, int> files_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace riseml::agent
