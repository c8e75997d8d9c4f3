// Remembers how far each stream of a Follow call was read, so that the next call continues without a gap or a repeat.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "riseml/v1/log.pb.h"

namespace riseml::cli {

class FollowPosition {
 public:
  // `first`: the request of the first call, without cursors.
  explicit FollowPosition(v1::FollowRequest first) : first_(std::move(first)) {}

  // The request of the next call to a log handler. In the first request to a log handler, the requested start applies
  // to every stream that has sent nothing yet. Later requests have a cursor for every known stream; streams that began
  // in between are read from their beginning.
  v1::FollowRequest Request(bool first) const;

  enum class Verdict {
    kNew,     // handle it
    kRepeat,  // known already: drop it
    kHole,    // bytes are missing before it: call again
  };

  // Takes a response into account. Bytes of a chunk that are known already are cut off it.
  Verdict Accept(v1::FollowResponse& response);

 private:
  struct Stream {
    bool announced = false;
    bool placed = false;  // next is known
    bool ended = false;
    std::int64_t next = 0;
  };
  using Key = std::pair<std::string, int>;

  Verdict Place(Stream& stream, std::int64_t first, std::int64_t length, std::int64_t* known) const;

  v1::FollowRequest first_;
  std::map<Key, Stream> streams_;
};

}  // namespace riseml::cli
