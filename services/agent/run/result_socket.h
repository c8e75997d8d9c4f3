// Takes results from user code: a Unix socket with one JSON object per line, {"results": {"accuracy": 0.9}}, answered
// by {"ok": true} or {"ok": false, "error": "…"} once the results are durable. Used by one thread, whose epoll watches
// fd().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

inline constexpr std::size_t kMaxResultLine = 64 << 10;
inline constexpr std::size_t kMaxResults = 256;  // in one report
inline constexpr std::int64_t kMaxSpoolBytes = 16 << 20;

// Checks one line and returns the text for the spool: the results as compact JSON in one line, without a newline.
absl::StatusOr<std::string> ParseResultLine(absl::string_view line);

class ResultSocket {
 public:
  // Listens at `path` and appends to `spool`, a descriptor opened for appending that must outlive this. If `refusal` is
  // not empty, every report is refused with this text.
  static absl::StatusOr<std::unique_ptr<ResultSocket>> Listen(const std::string& path, int spool,
                                                              const std::string& refusal = {});

  // An epoll descriptor. Call Serve when it is readable.
  int fd() const { return epoll_.get(); }

  // Handles some of the data that has arrived; false if there was none. Blocks only while it writes the spool.
  bool Serve();

 private:
  ResultSocket(int spool, std::string refusal) : spool_(spool), refusal_(std::move(refusal)) {}
  void Accept();
  void Read(int fd);
  std::string Answer(absl::string_view line);
  absl::Status Store(absl::string_view line);

  const int spool_;
  const std::string refusal_;
  UniqueFd epoll_;
  UniqueFd listener_;
  struct Connection {
    UniqueFd fd;
    std::string unread;
  };
  std::map<int, Connection> connections_;  // at most 64, others wait
  bool full_ = false;                      // while true, the listener is not watched
};

}  // namespace riseml::agent
