#include "cli/client/wait_notice.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {
namespace {

constexpr absl::Duration kSilence = absl::Seconds(1);

// The notices of this process, each written when it is due. One thread serves all notices: one for each call would make
// a short command 5% slower.
class NoticeBoard {
 public:
  static NoticeBoard& Get() {
    static NoticeBoard board;
    return board;
  }

  std::int64_t Add(std::string text) {
    const MutexLock lock(mu_);
    pending_[++last_] = {.due = clock_.Now() + kSilence, .text = std::move(text)};
    if (idle_) changed_.notify_one();  // otherwise the thread wakes when an earlier notice is due
    return last_;
  }

  void Remove(std::int64_t number) {
    const MutexLock lock(mu_);
    pending_.erase(number);
  }

 private:
  struct Notice {
    absl::Time due;
    std::string text;
  };

  NoticeBoard() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  void Run(const std::stop_token& stop) {
    MutexLock lock(mu_);
    while (!stop.stop_requested()) {
      idle_ = pending_.empty();
      if (idle_) {
        changed_.wait(mu_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !pending_.empty(); });
        continue;
      }
      const auto first = pending_.begin();  // the lowest number is due first
      if (const absl::Duration left = first->second.due - clock_.Now(); left > absl::ZeroDuration()) {
        changed_.wait_for(mu_, stop, absl::ToChronoMilliseconds(left) + std::chrono::milliseconds(1),
                          [] { return false; });
        continue;
      }
      (void)WriteAll(STDERR_FILENO, first->second.text);
      pending_.erase(first);
    }
  }

  const SystemClock clock_;
  Mutex mu_;
  std::condition_variable_any changed_;
  bool idle_ ABSL_GUARDED_BY(mu_) = false;
  std::int64_t last_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::int64_t, Notice> pending_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace

WaitNotice::WaitNotice(absl::string_view server, absl::string_view address)
    : WaitNotice(absl::StrCat("waiting for the ", server, " (", address, ") to answer…")) {}

WaitNotice::WaitNotice(absl::string_view line) : number_(NoticeBoard::Get().Add(absl::StrCat(line, "\n"))) {}

WaitNotice::~WaitNotice() { NoticeBoard::Get().Remove(number_); }

}  // namespace riseml::cli
