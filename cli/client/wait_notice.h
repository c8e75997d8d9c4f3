// Tells the user that a server is slow to answer, or what it is working on.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace riseml::cli {

// Prints a line to standard error if this object lives longer than a second. Made for each call, or for
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
