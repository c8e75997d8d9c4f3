// Says that a server lets the user wait.
#pragma once

#include <condition_variable>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {

// While one lives longer than a second, a line on standard error names what is waited for. Made for each call, or for
// several calls in a row.
class WaitNotice {
 public:
  // E.g. "API", "127.0.0.1:7070".
  WaitNotice(absl::string_view server, absl::string_view address);

 private:
  void Run(const std::stop_token& stop, const std::string& text);

  Mutex mu_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace riseml::cli
