#include "services/common/testing/kafka_broker.h"

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/status/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/error.h"
#include "services/common/kafka/settings.h"

namespace riseml::fixtures {
namespace {

[[noreturn]] void GiveUp(const std::string& what) {
  std::fprintf(stderr, "test Kafka: %s\n", what.c_str());
  std::abort();
}

}  // namespace

KafkaBroker::KafkaBroker(std::vector<std::string> options) : options_(std::move(options)) {
  char pattern[] = "/tmp/riseml-kafka-XXXXXX";
  dir_ = mkdtemp(pattern);
  Start();
}

KafkaBroker::~KafkaBroker() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

void KafkaBroker::Start() {
  std::vector<std::string> command = {RISEML_KAFKA_TESTBED, "run", dir_ + "/broker"};
  command.insert(command.end(), options_.begin(), options_.end());
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open((dir_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, 1);
    dup2(fd, 2);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  for (int i = 0; i < 600; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) GiveUp("the broker has ended: " + Read("../log"));
    if (Answers()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  GiveUp("the broker does not answer within 60 s: " + Read("../log"));
}

// A topic that does not exist is an answer.
bool KafkaBroker::Answers() const {
  const std::string address = Read("address");
  if (address.empty()) return false;
  config::v1::Kafka settings;
  settings.set_brokers(address);
  settings.set_topic("no-such-topic");
  return absl::IsNotFound(kafka::CheckTopic(*kafka::Complete(settings), absl::Seconds(2)));
}

std::string KafkaBroker::Read(const std::string& name) const {
  std::ifstream file(dir_ + "/broker/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

void KafkaBroker::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void KafkaBroker::Freeze() { kill(pid_, SIGSTOP); }
void KafkaBroker::Thaw() { kill(pid_, SIGCONT); }

absl::Status KafkaBroker::ResetOffsets(const config::v1::Kafka& settings, const std::string& group,
                                       std::int64_t position) const {
  RISEML_ASSIGN_OR_RETURN(kafka::Conf conf, kafka::MakeConf(settings, {{"group.id", group}}));
  rd_kafka_t* const client = rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), nullptr, 0);
  if (client == nullptr) return absl::InternalError("make a consumer of Kafka");
  (void)conf.release();  // belongs to the client now
  rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(settings.partitions());
  for (int i = 0; i < settings.partitions(); ++i)
    rd_kafka_topic_partition_list_add(list, settings.topic().c_str(), i)->offset = position;
  const rd_kafka_resp_err_t code = rd_kafka_commit(client, list, /*async=*/0);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(client);
  return kafka::StatusOf(code, "set the offsets of a group");
}

config::v1::Kafka KafkaBroker::NewTopic(int partitions) {
  config::v1::Kafka settings;
  settings.set_brokers(Read("address"));
  settings.set_topic("logs" + std::to_string(++topics_));
  settings.set_partitions(partitions);
  return *kafka::Complete(settings);
}

config::v1::Kafka KafkaBroker::WithSasl(config::v1::Kafka settings, const std::string& user,
                                        const std::string& password) const {
  const std::string file = dir_ + "/password-" + user;
  std::ofstream(file) << password << "\n";
  settings.set_brokers(Read("sasl_address"));
  settings.set_sasl_mechanism("SCRAM-SHA-256");
  settings.set_sasl_username(user);
  settings.set_sasl_password_file(file);
  return settings;
}

config::v1::Kafka KafkaBroker::WithTls(config::v1::Kafka settings) const {
  settings.set_brokers(Read("tls_address"));
  settings.set_tls(true);
  settings.set_ca_file(dir_ + "/broker/tls/ca.pem");
  return settings;
}

}  // namespace riseml::fixtures
