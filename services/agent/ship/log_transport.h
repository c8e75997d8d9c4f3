// Port from `ship` to loghandler. Tests run the shipper without a network, and another transport can be added.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "riseml/v1/log.pb.h"

namespace riseml::agent {

// Answers of the server during a call so far.
struct IngestProgress {
  std::optional<std::int64_t> expected_offset;  // everything before it is stored; absent: no answer yet
  std::int64_t answers = 0;                     // number of answers with an offset
  bool complete = false;                        // the end of the log is stored
  std::optional<absl::Status> over;             // set when the call has ended
};

// One call. Only the destructor blocks: it cancels the call and waits for its end. Used by one thread.
class LogCall {
 public:
  virtual ~LogCall() = default;
  // True if Send may be called, since the previous message has been sent.
  virtual bool CanSend() = 0;
  virtual void Send(const v1::IngestRequest& request) = 0;
  virtual IngestProgress Progress() = 0;
};

class LogTransport {
 public:
  virtual ~LogTransport() = default;
  // Begins a call and sends its hello. `on_change` is called from any thread whenever CanSend or Progress may have
  // changed, until the call is destroyed.
  virtual std::unique_ptr<LogCall> Open(std::function<void()> on_change) = 0;
};

}  // namespace riseml::agent
