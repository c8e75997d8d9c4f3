// Messages of Follow: requests checked, responses made. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "riseml/v1/log.pb.h"
#include "services/loghandler/store/stream.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// INVALID_ARGUMENT names what is wrong with a request.
absl::Status CheckFollowRequest(const v1::FollowRequest& request);

void FillStream(const StreamId& id, const std::string& job, v1::FollowResponse* response);
// A chunk or a gap.
void FillChunk(const StreamId& id, Chunk chunk, v1::FollowResponse* response);
void FillEnd(const StreamId& id, std::int64_t final_offset, bool complete, v1::FollowResponse* response);
// The end of a stream that cannot be read any further.
void FillDamagedEnd(const StreamId& id, std::int64_t offset, const absl::Status& why, v1::FollowResponse* response);
void FillOwner(const StreamId& id, const std::string& job, const std::string& address, bool late,
               v1::FollowResponse* response);

}  // namespace riseml::loghandler
