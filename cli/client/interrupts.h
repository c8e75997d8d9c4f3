// Delivers Ctrl-C and SIGTERM as events instead of ending the process at once.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {

// While this object exists, SIGINT and SIGTERM end the process with "Aborting..." and exit code 130, unless a listener
// is set. Make it before any other thread starts: threads inherit the blocked signals. Thread-safe.
class Interrupts {
 public:
  static absl::StatusOr<std::unique_ptr<Interrupts>> Create();
  ~Interrupts();

  // Sets the function that this object's thread calls for each signal; an empty function restores the abort. When
  // Listen returns, the old listener no longer runs.
  void Listen(std::function<void()> listener);

 private:
  Interrupts(UniqueFd signals, UniqueFd wake);
  void Run(std::stop_token stop);

  UniqueFd signals_, wake_;
  Mutex mu_;
  std::function<void()> listener_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace riseml::cli
