#include "services/common/kafka/error.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::kafka {
namespace {

struct Row {
  rd_kafka_resp_err_t code;
  absl::StatusCode status;
  absl::string_view advice;
};

constexpr Row kRows[] = {
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, absl::StatusCode::kUnauthenticated,
     "check kafka.sasl_username and its password"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, absl::StatusCode::kUnauthenticated,
     "check kafka.sasl_username and its password"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, absl::StatusCode::kPermissionDenied,
     "give this service its ACL on the topic"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, absl::StatusCode::kPermissionDenied,
     "give this service its ACL on the consumer group"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, absl::StatusCode::kPermissionDenied,
     "give this service its ACL on the cluster"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, absl::StatusCode::kFailedPrecondition,
     "set max.message.bytes of the topic to 1000000 or more"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, absl::StatusCode::kFailedPrecondition,
     "the topic must have kafka.partitions partitions"},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, absl::StatusCode::kResourceExhausted, "wait for acknowledgements"},
    {RD_KAFKA_RESP_ERR__FATAL, absl::StatusCode::kAborted, "make a new client"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, absl::StatusCode::kAborted, "another process uses this instance"},
    {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, absl::StatusCode::kAborted, "the partitions belong to another member"},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, absl::StatusCode::kOutOfRange, "read from the oldest record"},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, absl::StatusCode::kOutOfRange, "read from the oldest record"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, absl::StatusCode::kUnavailable, "create the topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, absl::StatusCode::kUnavailable, "create the topic"},
};

}  // namespace

absl::Status StatusOf(int code, absl::string_view doing) {
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  const std::string text = absl::StrCat(doing, ": ", rd_kafka_err2str(error));
  for (const Row& row : kRows)
    if (row.code == error) return {row.status, absl::StrCat(text, "; ", row.advice)};
  return absl::UnavailableError(absl::StrCat(text, "; it is tried again"));
}

}  // namespace riseml::kafka
