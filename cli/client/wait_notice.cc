#include "cli/client/wait_notice.h"

#include <unistd.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/common/base/file.h"

namespace riseml::cli {
namespace {

constexpr absl::Duration kSilence = absl::Seconds(1);

}  // namespace

WaitNotice::WaitNotice(absl::string_view server, absl::string_view address)
    : thread_([this, text = absl::StrCat("waiting for the ", server, " (", address, ") to answer…\n")](
                  const std::stop_token& stop) { Run(stop, text); }) {}

void WaitNotice::Run(const std::stop_token& stop, const std::string& text) {
  MutexLock lock(mu_);
  changed_.wait_for(mu_, stop, absl::ToChronoMilliseconds(kSilence), [] { return false; });
  if (!stop.stop_requested()) (void)WriteAll(STDERR_FILENO, text);
}

}  // namespace riseml::cli
