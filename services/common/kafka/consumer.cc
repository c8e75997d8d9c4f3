#include "services/common/kafka/consumer.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/kafka/error.h"
#include "services/common/kafka/settings.h"

namespace riseml::kafka {
namespace {

constexpr int kSeekMs = 5000;

struct FreeList {
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
};
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, FreeList>;

List ListOf(const std::string& topic, const std::map<int, std::int64_t>& positions) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const auto& [partition, position] : positions)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = position;
  return list;
}

absl::Status Consumed(rd_kafka_error_t* error, absl::string_view doing) {
  if (error == nullptr) return absl::OkStatus();
  const absl::Status status = StatusOf(rd_kafka_error_code(error), doing);
  rd_kafka_error_destroy(error);
  return status;
}

}  // namespace

int Record::partition() const { return message_->partition; }
std::int64_t Record::position() const { return message_->offset; }
absl::string_view Record::value() const { return {static_cast<const char*>(message_->payload), message_->len}; }
void Record::Free::operator()(rd_kafka_message_s* message) const { rd_kafka_message_destroy(message); }
void Consumer::Free::operator()(rd_kafka_s* client) const { rd_kafka_destroy(client); }

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Make(const config::v1::Kafka& settings, Membership membership) {
  std::unique_ptr<Consumer> self(new Consumer(settings.topic(), std::move(membership)));
  Properties properties = {{"group.id", self->membership_.group},
                           {"enable.auto.commit", "false"},
                           {"enable.auto.offset.store", "false"},
                           {"auto.offset.reset", "error"},
                           {"allow.auto.create.topics", "false"},
                           {"queued.max.messages.kbytes", "32768"},
                           {"fetch.wait.max.ms", "500"},
                           {"fetch.error.backoff.ms", "100"},
                           {"topic.metadata.refresh.interval.ms", "5000"},
                           {"partition.assignment.strategy", "range"},
                           {"session.timeout.ms", "6000"},
                           {"heartbeat.interval.ms", "1500"},
                           {"max.poll.interval.ms", "60000"}};
  if (!self->membership_.instance.empty()) properties.emplace_back("group.instance.id", self->membership_.instance);
  RISEML_ASSIGN_OR_RETURN(Conf conf, MakeConf(settings, properties));
  rd_kafka_conf_set_opaque(conf.get(), self.get());
  rd_kafka_conf_set_rebalance_cb(
      conf.get(), [](rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions,
                     void* opaque) { OnRebalance(client, code, partitions, opaque); });
  rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int code, const char* text, void* opaque) {
    static_cast<Consumer*>(opaque)->NoteError(code, text);
  });
  char why[512] = "";
  self->client_.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), why, sizeof why));
  if (self->client_ == nullptr) return Error(Reason::kInvalidArgument, absl::StrCat("make a consumer of Kafka: ", why));
  (void)conf.release();  // belongs to the client now
  rd_kafka_poll_set_consumer(self->client_.get());
  return self;
}

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Alone(const config::v1::Kafka& settings, const std::string& group) {
  return Make(settings, {.group = group});
}

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Join(const config::v1::Kafka& settings, Membership membership) {
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<Consumer> self, Make(settings, std::move(membership)));
  const List topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), self->topic_.c_str(), RD_KAFKA_PARTITION_UA);
  RISEML_RETURN_IF_ERROR(StatusOf(rd_kafka_subscribe(self->client_.get(), topics.get()),
                                  absl::StrCat("join the consumer group ", self->membership_.group)));
  return self;
}

Consumer::~Consumer() {
  if (client_ == nullptr) return;
  rd_kafka_consumer_close(client_.get());
  // librdkafka 2.0 never ends a client whose topic has vanished; its threads are left behind, idle.
  if (topic_vanished_) (void)client_.release();
}

void Consumer::OnRebalance(rd_kafka_s*, int code, rd_kafka_topic_partition_list_s* partitions, void* opaque) {
  static_cast<Consumer*>(opaque)->Rebalance(code, partitions);
}

void Consumer::Rebalance(int code, rd_kafka_topic_partition_list_s* partitions) {
  if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS || !membership_.assigned) {
    if (membership_.revoked) membership_.revoked();
    rd_kafka_assign(client_.get(), nullptr);
    return;
  }
  std::vector<int> assigned;
  for (int i = 0; i < partitions->cnt; ++i) assigned.push_back(partitions->elems[i].partition);
  if (const absl::Status status = Assign(membership_.assigned(assigned)); !status.ok())
    LogError("kafka_assignment_failed", {{"error", status.message()}});
}

absl::Status Consumer::Assign(const std::map<int, std::int64_t>& positions) {
  const List list = ListOf(topic_, positions);
  return StatusOf(rd_kafka_assign(client_.get(), list.get()), absl::StrCat("take partitions of ", topic_));
}

// Called from within Poll. Errors of connections pass by themselves.
void Consumer::NoteError(int code, const char* text) {
  for (const int serious : {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
                            RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__FATAL}) {
    topic_vanished_ =
        topic_vanished_ || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    if (code == serious) error_ = While(text, StatusOf(code, absl::StrCat("read topic ", topic_)));
  }
}

Polled Consumer::Poll(absl::Duration timeout) {
  rd_kafka_message_t* const message =
      rd_kafka_consumer_poll(client_.get(), static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (message == nullptr && !error_.ok()) return std::exchange(error_, absl::OkStatus());
  if (message == nullptr) return std::monostate();
  Record record(message);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) return PositionLost{message->partition};
  topic_vanished_ = topic_vanished_ || message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  const char* text = rd_kafka_message_errstr(message);
  return While(text == nullptr ? "" : text, StatusOf(message->err, absl::StrCat("read topic ", topic_)));
}

absl::Status Consumer::Seek(int partition, std::int64_t position) {
  const List list = ListOf(topic_, {{partition, position}});
  const std::string doing = absl::StrCat("continue partition ", partition, " at ", position);
  RISEML_RETURN_IF_ERROR(Consumed(rd_kafka_seek_partitions(client_.get(), list.get(), kSeekMs), doing));
  return StatusOf(list->elems[0].err, doing);
}

absl::StatusOr<Watermarks> Consumer::QueryWatermarks(int partition, absl::Duration timeout) {
  Watermarks found;
  RISEML_ASSIGN_OR_RETURN(found.oldest, QueryPosition(partition, RD_KAFKA_OFFSET_BEGINNING, timeout));
  RISEML_ASSIGN_OR_RETURN(found.next, QueryPosition(partition, RD_KAFKA_OFFSET_END, timeout));
  return found;
}

// rd_kafka_query_watermark_offsets asks for both, but with librdkafka 2.0 waits without end for a broker that has gone.
absl::StatusOr<std::int64_t> Consumer::QueryPosition(int partition, std::int64_t which, absl::Duration timeout) {
  const List list = ListOf(topic_, {{partition, which}});
  const std::string doing = absl::StrCat("ask for the positions of partition ", partition);
  RISEML_RETURN_IF_ERROR(StatusOf(
      rd_kafka_offsets_for_times(client_.get(), list.get(), static_cast<int>(absl::ToInt64Milliseconds(timeout))),
      doing));
  RISEML_RETURN_IF_ERROR(StatusOf(list->elems[0].err, doing));
  return list->elems[0].offset;
}

Watermarks Consumer::LastWatermarks(int partition) {
  Watermarks last;
  if (rd_kafka_get_watermark_offsets(client_.get(), topic_.c_str(), partition, &last.oldest, &last.next) !=
      RD_KAFKA_RESP_ERR_NO_ERROR)
    return {};
  return last;
}

void Consumer::Commit(const std::map<int, std::int64_t>& positions) {
  if (positions.empty()) return;
  const List list = ListOf(topic_, positions);
  // An error matters to nobody: the positions are also on the disk.
  (void)rd_kafka_commit(client_.get(), list.get(), /*async=*/1);
}

}  // namespace riseml::kafka
