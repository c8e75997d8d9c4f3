// The sending side of a stream that a server serves with gRPC's callback API.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>

namespace riseml::rpc {

// Has one message in flight at a time, and ends the stream once, behind it. Not thread-safe: a lock of its owner guards
// it. Reactor: one of gRPC's for servers, with StartWrite and Finish.
template <class Reactor>
class StreamWriter {
 public:
  // Sets the reactor until Detach, which the reactor's OnDone calls.
  void Attach(Reactor* reactor) {
    reactor_ = reactor;
    FinishIfDue();
  }
  void Detach() { reactor_ = nullptr; }

  // True while a message is in flight; it must not change.
  bool writing() const { return writing_; }
  // True once the stream has ended, or is to end behind the message in flight. Nothing may be written any more.
  bool ending() const { return end_.has_value(); }

  template <class Response>
  void Write(const Response* message) {
    writing_ = true;
    reactor_->StartWrite(message);
  }
  // The message in flight has gone; for OnWriteDone.
  void Written() {
    writing_ = false;
    FinishIfDue();
  }
  // Only the first end counts.
  void End(const grpc::Status& status) {
    if (!end_) end_ = status;
    FinishIfDue();
  }

 private:
  void FinishIfDue() {
    if (!end_ || writing_ || finished_ || reactor_ == nullptr) return;
    finished_ = true;
    reactor_->Finish(*end_);
  }

  Reactor* reactor_ = nullptr;
  std::optional<grpc::Status> end_;
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace riseml::rpc
