// Timer whose descriptor becomes readable when its time has come.
#pragma once

#include <cstdint>

#include "services/common/base/files/file.h"

namespace riseml::agent {

// Thread-compatible.
class Timer {
 public:
  Timer();

  // Fires once after `milliseconds`; replaces the previous setting. 0: never.
  void Set(std::int64_t milliseconds) const;
  // True if the timer has fired since the last call.
  bool Take() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;  // invalid when the system has no more descriptors
};

}  // namespace riseml::agent
