// A disk for tests: any call can fail or block, and a crash can be had at each.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "services/common/base/mutex.h"
#include "services/common/base/status.h"
#include "services/loghandler/store/disk.h"

namespace riseml::loghandler {

// Thread-safe; hooks are set while no call is under way. It never really syncs: tests must not wait for a disk.
class FakeDisk final : public FileDisk {
 public:
  std::function<int(int fd)> on_sync;                    // its errno is that of Sync
  std::function<int(absl::string_view bytes)> on_write;  // its errno is that of Write; then nothing is written

  // The n-th call from now on, counted from 1, is the last one: it does half of what it should or nothing, and all
  // later ones do nothing. 0: none.
  void CrashAt(int n) {
    MutexLock lock(mu_);
    crash_at_ = n;
    calls_ = 0;
    crashed_ = false;
  }
  bool crashed() const { return crashed_; }
  int calls() const { return calls_; }

  // Makes the files below `dir` those that survive a crash of the whole machine: without what was never synced.
  void LosePower(const std::string& dir) {
    MutexLock lock(mu_);
    std::set<std::string> lost;
    for (auto it = std::filesystem::recursive_directory_iterator(dir); it != std::filesystem::end(it); ++it) {
      const std::string path = it->path().string();
      if (!entries_.contains(path)) lost.insert(path);
      if (it->is_regular_file() && path.ends_with(".rlog")) {
        struct stat info;
        if (stat(path.c_str(), &info) != 0) continue;
        const auto synced = sizes_.find(info.st_ino);
        const std::int64_t size = synced == sizes_.end() ? 0 : synced->second;
        if (info.st_size > size && truncate(path.c_str(), size) != 0) std::abort();
      }
    }
    for (const std::string& path : lost) std::filesystem::remove_all(path);
  }
  // Makes everything below `dir` survive every later crash.
  void Settle(const std::string& dir) {
    MutexLock lock(mu_);
    for (auto it = std::filesystem::recursive_directory_iterator(dir); it != std::filesystem::end(it); ++it) {
      entries_.insert(it->path().string());
      struct stat info;
      if (stat(it->path().c_str(), &info) == 0) sizes_[info.st_ino] = info.st_size;
    }
  }

  int Write(int fd, std::int64_t position, absl::string_view bytes) override {
    bool last = false;
    if (!Enter(&last)) return EIO;
    if (last) {
      FileDisk::Write(fd, position, bytes.substr(0, bytes.size() / 2));
      return EIO;
    }
    if (on_write) {
      if (const int error = on_write(bytes); error != 0) return error;
    }
    return FileDisk::Write(fd, position, bytes);
  }
  int Sync(int fd) override {
    bool last = false;
    if (!Enter(&last)) return EIO;
    if (on_sync) {
      if (const int error = on_sync(fd); error != 0) return error;
    }
    struct stat info;
    if (fstat(fd, &info) != 0) return errno;
    MutexLock lock(mu_);
    sizes_[info.st_ino] = info.st_size;
    return last ? EIO : 0;  // durable, but nobody hears of it
  }
  absl::Status SyncDirectory(const std::string& path) override {
    bool last = false;
    if (!Enter(&last) || last) return absl::InternalError("crashed");
    std::error_code error;
    MutexLock lock(mu_);
    for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
      entries_.insert(it->path().string());
    return error ? ErrnoError(error.value(), path) : absl::OkStatus();
  }
  absl::Status Replace(const std::string& path, absl::string_view bytes) override {
    bool last = false;
    if (!Enter(&last)) return absl::InternalError("crashed");
    if (absl::Status status = FileDisk::Replace(path, bytes); !status.ok()) return status;
    MutexLock lock(mu_);
    entries_.insert(path);
    entries_.insert(std::filesystem::path(path).parent_path().string());
    return last ? absl::InternalError("crashed") : absl::OkStatus();
  }

 private:
  // False after the crash.
  bool Enter(bool* last) {
    MutexLock lock(mu_);
    if (crashed_) return false;
    *last = ++calls_ == crash_at_;
    if (*last) crashed_ = true;
    return true;
  }

  Mutex mu_;
  int crash_at_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<int> calls_{0};
  std::atomic<bool> crashed_{false};
  std::map<ino_t, std::int64_t> sizes_ ABSL_GUARDED_BY(mu_);  // of synced files
  std::set<std::string> entries_ ABSL_GUARDED_BY(mu_);        // that are durable in their directories
};

}  // namespace riseml::loghandler
