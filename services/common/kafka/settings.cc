#include "services/common/kafka/settings.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::kafka {
namespace {

constexpr int kMostPartitions = 10'000;
constexpr std::int64_t kMaxPasswordBytes = 4096;
constexpr int kWorstWarning = 4;  // syslog's LOG_WARNING

void LogLine(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  if (level > kWorstWarning) return;
  LogWarning("kafka", {{"client", client == nullptr ? "" : rd_kafka_name(client)}, {"what", facility}, {"text", text}});
}

bool IsTopicName(absl::string_view name) {
  if (name.empty() || name.size() > 180 || name[0] == '.') return false;
  for (const char c : name)
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') return false;
  return true;
}

absl::Status Set(rd_kafka_conf_t* conf, absl::string_view name, const std::string& value) {
  char why[256] = "";
  if (rd_kafka_conf_set(conf, std::string(name).c_str(), value.c_str(), why, sizeof why) == RD_KAFKA_CONF_OK)
    return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("configure the Kafka client: ", name, ": ", why));
}

absl::Status SetSasl(rd_kafka_conf_t* conf, const config::v1::Kafka& settings) {
  RISEML_RETURN_IF_ERROR(Set(conf, "sasl.mechanism", settings.sasl_mechanism()));
  RISEML_RETURN_IF_ERROR(Set(conf, "sasl.username", settings.sasl_username()));
  const absl::StatusOr<std::string> content = ReadFile(settings.sasl_password_file(), kMaxPasswordBytes);
  RISEML_RETURN_IF_ERROR(While("read the password of Kafka", content.status()));
  return Set(conf, "sasl.password", content->substr(0, content->find_first_of("\r\n")));
}

}  // namespace

void FreeConf::operator()(rd_kafka_conf_s* conf) const { rd_kafka_conf_destroy(conf); }

absl::StatusOr<config::v1::Kafka> Complete(config::v1::Kafka settings) {
  if (settings.topic().empty()) settings.set_topic(kDefaultTopic);
  if (settings.partitions() == 0) settings.set_partitions(kDefaultPartitions);
  if (settings.dead_letter_topic().empty()) settings.set_dead_letter_topic(settings.topic() + ".dead");
  if (settings.replication() == 0) settings.set_replication(1);
  std::vector<std::string> problems;
  if (settings.brokers().empty()) problems.emplace_back("kafka.brokers is missing");
  if (!IsTopicName(settings.topic())) problems.emplace_back("kafka.topic is not the name of a topic");
  if (!IsTopicName(settings.dead_letter_topic()))
    problems.emplace_back("kafka.dead_letter_topic is not the name of a topic");
  if (settings.partitions() < 1 || settings.partitions() > kMostPartitions)
    problems.push_back(absl::StrCat("kafka.partitions must be from 1 to ", kMostPartitions));
  if (settings.replication() < 1) problems.emplace_back("kafka.replication must be 1 or more");
  const std::string& mechanism = settings.sasl_mechanism();
  if (!mechanism.empty() && mechanism != "SCRAM-SHA-256" && mechanism != "SCRAM-SHA-512")
    problems.emplace_back("kafka.sasl_mechanism must be SCRAM-SHA-256 or SCRAM-SHA-512");
  if (!mechanism.empty() && (settings.sasl_username().empty() || settings.sasl_password_file().empty()))
    problems.emplace_back("kafka.sasl_mechanism needs sasl_username and sasl_password_file");
  if (settings.certificate_file().empty() != settings.key_file().empty())
    problems.emplace_back("kafka.certificate_file and kafka.key_file need each other");
  if (problems.empty()) return settings;
  return Error(Reason::kInvalidArgument, absl::StrCat("configuration: ", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<Conf> MakeConf(const config::v1::Kafka& settings, const Properties& properties) {
  Conf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), LogLine);
  const bool sasl = !settings.sasl_mechanism().empty();
  const absl::string_view protocol =
      settings.tls() ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext");
  RISEML_RETURN_IF_ERROR(Set(conf.get(), "bootstrap.servers", settings.brokers()));
  RISEML_RETURN_IF_ERROR(Set(conf.get(), "security.protocol", std::string(protocol)));
  RISEML_RETURN_IF_ERROR(Set(conf.get(), "socket.nagle.disable", "true"));
  RISEML_RETURN_IF_ERROR(Set(conf.get(), "reconnect.backoff.max.ms", "2000"));
  if (settings.tls()) {
    if (!settings.ca_file().empty()) RISEML_RETURN_IF_ERROR(Set(conf.get(), "ssl.ca.location", settings.ca_file()));
    if (!settings.certificate_file().empty()) {
      RISEML_RETURN_IF_ERROR(Set(conf.get(), "ssl.certificate.location", settings.certificate_file()));
      RISEML_RETURN_IF_ERROR(Set(conf.get(), "ssl.key.location", settings.key_file()));
    }
  }
  if (sasl) RISEML_RETURN_IF_ERROR(SetSasl(conf.get(), settings));
  for (const auto& [name, value] : properties) RISEML_RETURN_IF_ERROR(Set(conf.get(), name, value));
  return conf;
}

int PartitionOf(absl::string_view job_uid, int partitions) {
  return static_cast<int>(Crc32c(job_uid) % static_cast<std::uint32_t>(partitions));
}

}  // namespace riseml::kafka
