// Port from `ship` to what carries logs to loghandler: a call of loghandler, or Kafka.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "riseml/v1/log.pb.h"

namespace riseml::agent {

// Answers of the transport during a call so far.
struct IngestProgress {
  std::optional<std::int64_t> expected_offset;  // everything before it is safe; absent: not known yet
  std::int64_t answers = 0;                     // number of answers with an offset; 0 also if none was needed to begin
  bool complete = false;                        // the end of the log is safe, too
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
  // Begins a call. Everything before `acknowledged` was safe in earlier calls. `on_change` is called from any thread
  // whenever CanSend or Progress may have changed, until the call is destroyed.
  virtual std::unique_ptr<LogCall> Open(std::int64_t acknowledged, std::function<void()> on_change) = 0;
};

// A call that failed before it began.
class FailedCall final : public LogCall {
 public:
  explicit FailedCall(absl::Status why) : why_(std::move(why)) {}
  bool CanSend() override { return false; }
  void Send(const v1::IngestRequest&) override {}
  IngestProgress Progress() override { return {.over = why_}; }

 private:
  const absl::Status why_;
};

}  // namespace riseml::agent
