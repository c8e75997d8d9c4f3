// Maps errors of librdkafka to statuses.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::kafka {

// `code` is an rd_kafka_resp_err_t; 0 is OK. UNAUTHENTICATED, PERMISSION_DENIED and FAILED_PRECONDITION need a change
// of the configuration. LIMIT_EXCEEDED: the queue of the client is full. ABORTED: the client must be made anew, or the
// partition belongs to another one. OUT_OF_RANGE: the position does not exist. Everything else is UNAVAILABLE.
absl::Status StatusOf(int code, absl::string_view doing);

}  // namespace riseml::kafka
