#include "services/loghandler/follow/follow_messages.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::loghandler {
namespace {

constexpr int kMaxCursors = 40'000;
constexpr std::size_t kMaxName = 512;

absl::Status Bad(absl::string_view what) {
  return Error(Reason::kInvalidArgument, absl::StrCat("follow logs: ", what));
}

template <class Event>
void Name(const StreamId& id, Event* event) {
  event->set_job_uid(id.job_uid);
  event->set_attempt(id.attempt);
}

}  // namespace

absl::Status CheckFollowRequest(const v1::FollowRequest& request) {
  if (request.name().empty() || request.name().size() > kMaxName)
    return Bad("name must be that of an experiment, a set or a job");
  if (request.cursors_size() > kMaxCursors) return Bad(absl::StrCat("at most ", kMaxCursors, " cursors"));
  for (const v1::StreamCursor& cursor : request.cursors()) {
    if (!IsValid({cursor.job_uid(), cursor.attempt()}) || cursor.offset() < 0)
      return Bad("a cursor must have the UUID of a job, an attempt of 1 or more and an offset of 0 or more");
  }
  if (request.tail_lines() < 0) return Bad("tail_lines must be 0 or more");
  if (request.from_offset() < 0) return Bad("from_offset must be 0 or more");
  return absl::OkStatus();
}

void FillStream(const StreamId& id, const std::string& job, v1::FollowResponse* response) {
  Name(id, response->mutable_stream());
  response->mutable_stream()->set_job(job);
}

void FillChunk(const StreamId& id, Chunk chunk, v1::FollowResponse* response) {
  if (chunk.gap_length > 0) {
    Name(id, response->mutable_gap());
    response->mutable_gap()->set_first_offset(chunk.first_offset);
    response->mutable_gap()->set_length(chunk.gap_length);
    return;
  }
  v1::LogChunk* out = response->mutable_chunk();
  Name(id, out);
  out->set_first_offset(chunk.first_offset);
  out->set_data(std::move(chunk.data));
  for (const auto& [offset, ms] : chunk.times) {
    v1::TimeMark* mark = out->add_times();
    mark->set_offset(offset);
    mark->mutable_time()->set_seconds(ms / 1000);
    mark->mutable_time()->set_nanos(static_cast<std::int32_t>(ms % 1000) * 1'000'000);
  }
}

void FillEnd(const StreamId& id, std::int64_t final_offset, bool complete, v1::FollowResponse* response) {
  Name(id, response->mutable_end());
  response->mutable_end()->set_final_offset(final_offset);
  response->mutable_end()->set_complete(complete);
}

void FillDamagedEnd(const StreamId& id, std::int64_t offset, const absl::Status& why, v1::FollowResponse* response) {
  FillEnd(id, offset, /*complete=*/false, response);
  response->mutable_end()->set_error(std::string(why.message()));
}

void FillOwner(const StreamId& id, const std::string& job, const std::string& address, bool late,
               v1::FollowResponse* response) {
  Name(id, response->mutable_owner());
  response->mutable_owner()->set_job(job);
  response->mutable_owner()->set_address(address);
  response->mutable_owner()->set_late(late);
}

}  // namespace riseml::loghandler
