#include "services/common/kafka/producer.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/kafka/error.h"
#include "services/common/kafka/settings.h"

namespace riseml::kafka {
namespace {

constexpr int kServeMs = 100;
// A broker that knows nothing of a producer yet accepts its records from any sequence number on. With several requests
// under way, the first one could fail and the next one succeed, and the first one would be lost:
// https://github.com/confluentinc/confluent-kafka-go/issues/921
constexpr char kInFlight[] = "1";
constexpr int kAnyPartition = RD_KAFKA_PARTITION_UA;

// The client also reports a record as stored because a later one is: it takes that for a proof, which it is not. It
// then knows no offset.
absl::Status DeliveryOf(const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR && message.offset < 0)
    return absl::AbortedError("store a record in Kafka: no broker has told its offset; a new producer stores it again");
  return StatusOf(message.err, "store a record in Kafka");
}

void OnDelivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  const auto* events = static_cast<const ProducerEvents*>(opaque);
  const auto tag = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(message->_private));
  if (events->delivered) events->delivered(tag, DeliveryOf(*message));
}

void OnError(rd_kafka_t* client, int code, const char*, void* opaque) {
  const auto* events = static_cast<const ProducerEvents*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    char why[512] = "";
    const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(client, why, sizeof why);
    if (events->broken)
      events->broken(absl::AbortedError(
          absl::StrCat("store records in Kafka: ", rd_kafka_err2name(cause), ": ", why, "; a new producer goes on")));
  } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
    if (events->broken) events->broken(StatusOf(code, "log in to Kafka"));
  }
}

}  // namespace

void Producer::Free::operator()(rd_kafka_s* client) const { rd_kafka_destroy(client); }
void Producer::Free::operator()(rd_kafka_topic_s* topic) const { rd_kafka_topic_destroy(topic); }

absl::StatusOr<std::unique_ptr<Producer>> Producer::Make(const config::v1::Kafka& settings, const std::string& topic,
                                                         ProducerEvents events) {
  std::unique_ptr<Producer> self(new Producer(topic, std::move(events)));
  RISEML_ASSIGN_OR_RETURN(Conf conf, MakeConf(settings, {{"enable.idempotence", "true"},
                                                         {"acks", "all"},
                                                         {"max.in.flight", kInFlight},
                                                         {"linger.ms", "5"},
                                                         {"batch.size", absl::StrCat(kMaxMessageBytes)},
                                                         {"message.max.bytes", absl::StrCat(kMaxMessageBytes)},
                                                         {"compression.codec", "none"},  // blocks are compressed
                                                         {"queue.buffering.max.kbytes", "16384"},
                                                         {"queue.buffering.max.messages", "2000"},
                                                         {"delivery.timeout.ms", "2147483647"}}));
  rd_kafka_conf_set_opaque(conf.get(), const_cast<ProducerEvents*>(&self->events_));
  rd_kafka_conf_set_dr_msg_cb(conf.get(), OnDelivered);
  rd_kafka_conf_set_error_cb(conf.get(), OnError);
  char why[512] = "";
  self->client_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), why, sizeof why));
  if (self->client_ == nullptr)
    return Error(Reason::kInvalidArgument, absl::StrCat("make a producer for Kafka: ", why));
  (void)conf.release();  // belongs to the client now
  self->topic_.reset(rd_kafka_topic_new(self->client_.get(), topic.c_str(), nullptr));
  if (self->topic_ == nullptr) return StatusOf(rd_kafka_last_error(), absl::StrCat("use the topic ", topic));
  self->thread_ = std::jthread([producer = self.get()](const std::stop_token& stop) { producer->Run(stop); });
  return self;
}

Producer::~Producer() {
  thread_ = {};  // no callback runs after this
  topic_.reset();
  if (client_ != nullptr) rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

void Producer::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) rd_kafka_poll(client_.get(), kServeMs);
}

absl::Status Producer::Produce(int partition, absl::string_view key, absl::string_view value, std::int64_t tag,
                               const Headers& headers) {
  rd_kafka_headers_t* list = headers.empty() ? nullptr : rd_kafka_headers_new(headers.size());
  for (const auto& [name, text] : headers)
    rd_kafka_header_add(list, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                        static_cast<ssize_t>(text.size()));
  rd_kafka_vu_t parts[7];
  parts[0].vtype = RD_KAFKA_VTYPE_RKT;
  parts[0].u.rkt = topic_.get();
  parts[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  parts[1].u.i32 = partition < 0 ? kAnyPartition : partition;
  parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  parts[2].u.i = RD_KAFKA_MSG_F_COPY;
  parts[3].vtype = RD_KAFKA_VTYPE_KEY;
  parts[3].u.mem = {const_cast<char*>(key.data()), key.size()};
  parts[4].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[4].u.mem = {const_cast<char*>(value.data()), value.size()};
  parts[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[5].u.ptr = reinterpret_cast<void*>(static_cast<std::intptr_t>(tag));
  parts[6].vtype = RD_KAFKA_VTYPE_HEADERS;
  parts[6].u.headers = list;
  rd_kafka_error_t* const error = rd_kafka_produceva(client_.get(), parts, list == nullptr ? 6 : 7);
  if (error == nullptr) return absl::OkStatus();
  if (list != nullptr) rd_kafka_headers_destroy(list);  // still ours after an error
  const absl::Status status = StatusOf(rd_kafka_error_code(error), absl::StrCat("queue a record for topic ", name_));
  rd_kafka_error_destroy(error);
  return status;
}

}  // namespace riseml::kafka
