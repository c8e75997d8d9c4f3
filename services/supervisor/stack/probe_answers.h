// Queue of answers to probes, from gRPC's threads to the supervising thread.
#pragma once

#include <sys/eventfd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"

namespace riseml::supervisor {

// Thread-safe.
class ProbeAnswers {
 public:
  struct Answer {
    std::string unit;
    int generation;
    absl::Status status;
  };
  ProbeAnswers() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int fd() const { return wake_.get(); }

  void Put(Answer answer) {
    {
      MutexLock lock(mu_);
      answers_.push_back(std::move(answer));
    }
    eventfd_write(wake_.get(), 1);
  }

  std::vector<Answer> TakeAll() {
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    MutexLock lock(mu_);
    return std::exchange(answers_, {});
  }

 private:
  UniqueFd wake_;
  Mutex mu_;
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::supervisor
