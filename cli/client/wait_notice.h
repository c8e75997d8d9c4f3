// Says that a server lets the user wait, or what it works at.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace riseml::cli {

// While one lives longer than a second, a line on standard error says so. Made for each call, or for
// several calls in a row.
class WaitNotice {
 public:
  // E.g. "API", "127.0.0.1:7070".
  WaitNotice(absl::string_view server, absl::string_view address);
  // Any other line, without its newline.
  explicit WaitNotice(absl::string_view line);
  ~WaitNotice();
  WaitNotice(const WaitNotice&) = delete;
  WaitNotice& operator=(const WaitNotice&) = delete;

 private:
  const std::int64_t number_;
};

}  // namespace riseml::cli
