// Hands results from worker threads to the thread that decides.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "services/common/base/mutex.h"

namespace riseml::scheduler {

// Thread-safe. Senders limit how much they have under way.
template <class T>
class Mailbox {
 public:
  // `wake` is called after each Put, on the sender's thread; it must not block.
  void SetWake(std::function<void()> wake) {
    MutexLock lock(mu_);
    wake_ = std::move(wake);
  }
  void Put(T item) {
    std::function<void()> wake;
    {
      MutexLock lock(mu_);
      items_.push_back(std::move(item));
      wake = wake_;
    }
    if (wake) wake();
  }
  // In order of arrival.
  std::vector<T> Take() {
    MutexLock lock(mu_);
    return std::exchange(items_, {});
  }

 private:
  Mutex mu_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);
  std::vector<T> items_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::scheduler
