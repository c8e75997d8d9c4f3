#include "cli/client/follow_position.h"

#include <algorithm>

namespace riseml::cli {

v1::FollowRequest FollowPosition::Request(bool first) const {
  v1::FollowRequest request = first_;
  if (streams_.empty()) return request;
  const bool only_new = first_.start_case() == v1::FollowRequest::kTailLines && first_.tail_lines() == 0;
  for (const auto& [key, stream] : streams_) {
    // A stream that was announced but sent nothing is read from the requested start. If only new bytes were requested,
    // that start is unknown, so it gets no cursor.
    if (!stream.placed && (only_new || first)) continue;
    v1::StreamCursor* cursor = request.add_cursors();
    cursor->set_job_uid(key.first);
    cursor->set_attempt(key.second);
    cursor->set_offset(stream.placed ? stream.next : std::max<std::int64_t>(0, first_.from_offset()));
  }
  if (!first && !only_new && first_.start_case() == v1::FollowRequest::kTailLines) request.set_from_offset(0);
  return request;
}

FollowPosition::Verdict FollowPosition::Place(Stream& stream, std::int64_t first, std::int64_t length,
                                              std::int64_t* known) const {
  *known = 0;
  if (stream.placed) {
    if (first > stream.next) return Verdict::kHole;
    *known = stream.next - first;
    if (*known > 0 && *known >= length) return Verdict::kRepeat;
  }
  stream.placed = true;
  stream.next = first + length;
  return Verdict::kNew;
}

FollowPosition::Verdict FollowPosition::Accept(v1::FollowResponse& response) {
  std::int64_t known = 0;
  switch (response.event_case()) {
    case v1::FollowResponse::kStream: {
      const Key key(response.stream().job_uid(), response.stream().attempt());
      return std::exchange(streams_[key].announced, true) ? Verdict::kRepeat : Verdict::kNew;
    }
    case v1::FollowResponse::kChunk: {
      v1::LogChunk& chunk = *response.mutable_chunk();
      Stream& stream = streams_[Key(chunk.job_uid(), chunk.attempt())];
      const Verdict verdict =
          Place(stream, chunk.first_offset(), static_cast<std::int64_t>(chunk.data().size()), &known);
      if (verdict == Verdict::kNew && known > 0) {
        chunk.mutable_data()->erase(0, known);
        chunk.set_first_offset(chunk.first_offset() + known);
      }
      return verdict;
    }
    case v1::FollowResponse::kGap: {
      v1::LogGap& gap = *response.mutable_gap();
      Stream& stream = streams_[Key(gap.job_uid(), gap.attempt())];
      const Verdict verdict = Place(stream, gap.first_offset(), gap.length(), &known);
      if (verdict == Verdict::kNew && known > 0) {
        gap.set_first_offset(gap.first_offset() + known);
        gap.set_length(gap.length() - known);
      }
      return verdict;
    }
    case v1::FollowResponse::kEnd: {
      const v1::LogEnd& end = response.end();
      Stream& stream = streams_[Key(end.job_uid(), end.attempt())];
      if (stream.ended) return Verdict::kRepeat;
      if (stream.placed && end.final_offset() > stream.next) return Verdict::kHole;
      stream.placed = stream.ended = true;
      stream.next = end.final_offset();
      return Verdict::kNew;
    }
    case v1::FollowResponse::kOwner: {
      const v1::LogOwner& owner = response.owner();
      Stream& stream = streams_[Key(owner.job_uid(), owner.attempt())];
      stream.placed = stream.placed || owner.late();  // a late stream is read from the beginning
      return Verdict::kRepeat;
    }
    default:
      return Verdict::kRepeat;
  }
}

}  // namespace riseml::cli
