#include "services/common/kafka/admin.h"

#include <librdkafka/rdkafka.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/error.h"
#include "services/common/kafka/settings.h"

namespace riseml::kafka {
namespace {

struct FreeAdmin {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_AdminOptions_t* options) const { rd_kafka_AdminOptions_destroy(options); }
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
  void operator()(rd_kafka_DeleteTopic_t* topic) const { rd_kafka_DeleteTopic_destroy(topic); }
  void operator()(rd_kafka_DeleteRecords_t* records) const { rd_kafka_DeleteRecords_destroy(records); }
  void operator()(rd_kafka_AclBinding_t* acl) const { rd_kafka_AclBinding_destroy(acl); }
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
  void operator()(const rd_kafka_metadata_t* metadata) const { rd_kafka_metadata_destroy(metadata); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeAdmin>;

constexpr int kTriesToFind = 100;
constexpr absl::Duration kFindPause = absl::Milliseconds(50);

int Milliseconds(absl::Duration timeout) { return static_cast<int>(absl::ToInt64Milliseconds(timeout)); }

absl::StatusOr<Owned<rd_kafka_t>> Connect(const config::v1::Kafka& settings) {
  RISEML_ASSIGN_OR_RETURN(Conf conf, MakeConf(settings, {}));
  char why[512] = "";
  Owned<rd_kafka_t> client(rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), why, sizeof why));
  if (client == nullptr) return Error(Reason::kInvalidArgument, absl::StrCat("make a client of Kafka: ", why));
  (void)conf.release();  // belongs to the client now
  return client;
}

// Sends a request with `send(client, options, queue)` and waits for its answer.
template <class Send>
absl::StatusOr<Owned<rd_kafka_event_t>> Ask(rd_kafka_t* client, absl::Duration timeout, absl::string_view doing,
                                            Send send) {
  const Owned<rd_kafka_AdminOptions_t> options(rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_ANY));
  char why[256] = "";
  rd_kafka_AdminOptions_set_request_timeout(options.get(), Milliseconds(timeout), why, sizeof why);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client));
  send(client, options.get(), queue.get());
  Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), Milliseconds(timeout)));
  if (event == nullptr)
    return Error(Reason::kUnavailable, absl::StrCat(doing, ": no broker answers; check kafka.brokers"));
  RISEML_RETURN_IF_ERROR(StatusOf(rd_kafka_event_error(event.get()), doing));
  return event;
}

absl::Status Results(const rd_kafka_topic_result_t* const* results, std::size_t count, absl::string_view doing) {
  for (std::size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
    const absl::Status status = StatusOf(code, absl::StrCat(doing, " ", rd_kafka_topic_result_name(results[i])));
    const char* text = rd_kafka_topic_result_error_string(results[i]);
    if (!status.ok()) return text == nullptr ? status : While(text, status);
  }
  return absl::OkStatus();
}

absl::StatusOr<Owned<rd_kafka_NewTopic_t>> NewTopic(const std::string& name, int partitions, int replication) {
  char why[256] = "";
  Owned<rd_kafka_NewTopic_t> topic(rd_kafka_NewTopic_new(name.c_str(), partitions, replication, why, sizeof why));
  if (topic == nullptr) return Error(Reason::kInvalidArgument, absl::StrCat("describe topic ", name, ": ", why));
  return topic;
}

}  // namespace

absl::Status CreateTopics(const config::v1::Kafka& settings, absl::Duration timeout) {
  RISEML_ASSIGN_OR_RETURN(const auto client, Connect(settings));
  RISEML_ASSIGN_OR_RETURN(const auto records,
                          NewTopic(settings.topic(), settings.partitions(), settings.replication()));
  RISEML_ASSIGN_OR_RETURN(const auto dead, NewTopic(settings.dead_letter_topic(), 1, settings.replication()));
  rd_kafka_NewTopic_t* topics[] = {records.get(), dead.get()};
  RISEML_ASSIGN_OR_RETURN(const auto event, Ask(client.get(), timeout, "create topics", [&](auto* c, auto* o, auto* q) {
                            rd_kafka_CreateTopics(c, topics, 2, o, q);
                          }));
  std::size_t count = 0;
  const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  RISEML_RETURN_IF_ERROR(Results(results, count, "create topic"));
  absl::Status found = CheckTopic(settings, timeout);
  // The brokers hear of a new topic a moment later.
  for (int i = 0; i < kTriesToFind && absl::IsNotFound(found); ++i) {
    Pause({}, kFindPause);
    found = CheckTopic(settings, timeout);
  }
  return found;
}

absl::Status CreateAcls(const config::v1::Kafka& settings, const std::string& agent, const std::string& loghandler,
                        const std::string& group, absl::Duration timeout) {
  struct Right {
    rd_kafka_ResourceType_t kind;
    const std::string& name;
    const std::string& user;
    rd_kafka_AclOperation_t operation;
  };
  const Right rights[] = {
      {RD_KAFKA_RESOURCE_TOPIC, settings.topic(), agent, RD_KAFKA_ACL_OPERATION_WRITE},
      {RD_KAFKA_RESOURCE_TOPIC, settings.topic(), loghandler, RD_KAFKA_ACL_OPERATION_READ},
      {RD_KAFKA_RESOURCE_TOPIC, settings.dead_letter_topic(), loghandler, RD_KAFKA_ACL_OPERATION_WRITE},
      {RD_KAFKA_RESOURCE_GROUP, group, loghandler, RD_KAFKA_ACL_OPERATION_READ},
  };
  RISEML_ASSIGN_OR_RETURN(const auto client, Connect(settings));
  std::vector<Owned<rd_kafka_AclBinding_t>> owned;
  std::vector<rd_kafka_AclBinding_t*> acls;
  for (const Right& right : rights) {
    char why[256] = "";
    owned.emplace_back(rd_kafka_AclBinding_new(right.kind, right.name.c_str(), RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                                               absl::StrCat("User:", right.user).c_str(), "*", right.operation,
                                               RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, why, sizeof why));
    if (owned.back() == nullptr) return Error(Reason::kInvalidArgument, absl::StrCat("describe an ACL: ", why));
    acls.push_back(owned.back().get());
  }
  RISEML_ASSIGN_OR_RETURN(const auto event, Ask(client.get(), timeout, "create ACLs", [&](auto* c, auto* o, auto* q) {
                            rd_kafka_CreateAcls(c, acls.data(), acls.size(), o, q);
                          }));
  std::size_t count = 0;
  const rd_kafka_acl_result_t** results =
      rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    if (const rd_kafka_error_t* error = rd_kafka_acl_result_error(results[i]); error != nullptr)
      return While(rd_kafka_error_string(error), StatusOf(rd_kafka_error_code(error), "create an ACL"));
  }
  return absl::OkStatus();
}

absl::Status DeleteTopic(const config::v1::Kafka& settings, const std::string& topic, absl::Duration timeout) {
  RISEML_ASSIGN_OR_RETURN(const auto client, Connect(settings));
  const Owned<rd_kafka_DeleteTopic_t> one(rd_kafka_DeleteTopic_new(topic.c_str()));
  rd_kafka_DeleteTopic_t* topics[] = {one.get()};
  RISEML_ASSIGN_OR_RETURN(const auto event,
                          Ask(client.get(), timeout, "delete a topic",
                              [&](auto* c, auto* o, auto* q) { rd_kafka_DeleteTopics(c, topics, 1, o, q); }));
  std::size_t count = 0;
  const auto* results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  return Results(results, count, "delete topic");
}

absl::Status DeleteRecords(const config::v1::Kafka& settings, int partition, std::int64_t before,
                           absl::Duration timeout) {
  RISEML_ASSIGN_OR_RETURN(const auto client, Connect(settings));
  const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), settings.topic().c_str(), partition)->offset = before;
  const Owned<rd_kafka_DeleteRecords_t> one(rd_kafka_DeleteRecords_new(list.get()));
  rd_kafka_DeleteRecords_t* records[] = {one.get()};
  RISEML_ASSIGN_OR_RETURN(const auto event,
                          Ask(client.get(), timeout, "delete records",
                              [&](auto* c, auto* o, auto* q) { rd_kafka_DeleteRecords(c, records, 1, o, q); }));
  const rd_kafka_topic_partition_list_t* answers =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  for (int i = 0; i < answers->cnt; ++i)
    RISEML_RETURN_IF_ERROR(StatusOf(answers->elems[i].err, absl::StrCat("delete records of partition ", partition)));
  return absl::OkStatus();
}

absl::Status CheckTopic(const config::v1::Kafka& settings, absl::Duration timeout) {
  RISEML_ASSIGN_OR_RETURN(const auto client, Connect(settings));
  const std::string doing = absl::StrCat("look at topic ", settings.topic());
  rd_kafka_topic_t* const topic = rd_kafka_topic_new(client.get(), settings.topic().c_str(), nullptr);
  const rd_kafka_metadata_t* raw = nullptr;
  const rd_kafka_resp_err_t code = rd_kafka_metadata(client.get(), 0, topic, &raw, Milliseconds(timeout));
  rd_kafka_topic_destroy(topic);
  const Owned<const rd_kafka_metadata_t> metadata(raw);
  RISEML_RETURN_IF_ERROR(StatusOf(code, doing));
  if (metadata->topic_cnt != 1) return Error(Reason::kUnavailable, doing + ": the broker says nothing of it");
  const rd_kafka_resp_err_t about = metadata->topics[0].err;
  if (about == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    return Error(Reason::kNotFound,
                 absl::StrCat(doing, ": there is none; run `riseml-loghandler create-topics --config FILE`"));
  RISEML_RETURN_IF_ERROR(StatusOf(about, doing));
  const int partitions = metadata->topics[0].partition_cnt;
  if (partitions == settings.partitions()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(doing, ": it has ", partitions,
                                                    " partitions, but kafka.partitions is ", settings.partitions(),
                                                    "; set kafka.partitions to the number that the topic has"));
}

}  // namespace riseml::kafka
