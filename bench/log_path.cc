// The two halves of a log's way over Kafka, and librdkafka alone beside them. Used by bench/logs.
//
//   log_path ship BROKERS TOPIC MEGABYTES       the shipper: file → blocks → topic
//   log_path produce BROKERS TOPIC MEGABYTES    the same blocks, made before: librdkafka alone
//   log_path store BROKERS TOPIC MEGABYTES DIR  the log handler: topic → segments in DIR, with fsync
//   log_path consume BROKERS TOPIC MEGABYTES    librdkafka alone
//
// Prints "MB-per-second MB-per-CPU-second resident-MB" of raw bytes; the topic holds one log of MEGABYTES.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <zstd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/ship/kafka_log_transport.h"
#include "services/agent/ship/shipper.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/consumer.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/loghandler/partitions/partition_consumer.h"

namespace riseml {
namespace {

const AttemptId kLog{"3f0c9c0e-0000-4000-8000-000000000001", 1};
constexpr absl::Duration kTimeout = absl::Seconds(30);

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "ERROR: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}

// A training log: steps, now and then a warning.
std::string Lines(std::size_t bytes) {
  std::string text;
  text.reserve(bytes + 256);
  unsigned seed = 1;
  for (int step = 0; text.size() < bytes; ++step) {
    seed = seed * 1103515245 + 12345;
    absl::StrAppend(&text, "step ", step, "/100000 loss=", 0.0001 * (seed >> 8 & 0xffff),
                    " lr=0.00031 grad_norm=", 0.001 * (seed >> 12 & 0xfff), " throughput=", seed >> 20,
                    " samples/s memory=12.4GB epoch=3\n");
    if (step % 50 == 0) text += "WARNING: the data loader is slower than the model; use more workers (num_workers=4)\n";
  }
  text.resize(bytes);
  return text;
}

std::string Record(std::int64_t first, absl::string_view bytes) {
  internal::v1::LogRecord record;
  record.set_job_uid(kLog.job_uid);
  record.set_attempt(kLog.attempt);
  v1::LogBlock& block = *record.mutable_block();
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 1));
  block.set_first_offset(first);
  block.set_raw_length(static_cast<std::int64_t>(bytes.size()));
  block.set_coding(v1::LogBlock::ZSTD);
  block.set_crc(Crc32c(packed));
  block.set_data(std::move(packed));
  return record.SerializeAsString();
}

double CpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

class Measurement {
 public:
  void Print(double megabytes) const {
    const double wall = absl::ToDoubleSeconds(clock_.Now() - begin_);
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    std::printf("%.1f %.1f %.1f\n", megabytes / wall, megabytes / (CpuSeconds() - cpu_),
                static_cast<double>(used.ru_maxrss) / 1024);
  }

 private:
  const SystemClock clock_{};
  const absl::Time begin_ = clock_.Now();
  const double cpu_ = CpuSeconds();
};

void Ship(const config::v1::Kafka& settings, int megabytes) {
  char pattern[] = "/tmp/riseml-bench-XXXXXX";
  const std::string root = mkdtemp(pattern);
  const agent::AttemptDir dir(root);
  std::filesystem::create_directories(dir.control());
  for (const std::string& file : {dir.results(), dir.journal(), dir.log()}) Require(WriteFileQuickly(file, ""));
  const auto bytes = static_cast<std::int64_t>(megabytes) * 1'000'000;
  const std::string part = Lines(1'000'000);
  for (int i = 0; i < megabytes; ++i) {
    const UniqueFd log = *OpenFile(dir.log(), O_WRONLY | O_APPEND);
    Require(WriteAll(log.get(), part));
  }
  internal::v1::AttemptEnded ended;
  ended.set_final_offset(bytes);
  Require(agent::EndJournal(dir.journal(), ended).status());
  const SystemClock clock;
  agent::KafkaLogTransport transport([settings] { return settings; }, kLog);
  agent::ApiCalls api;
  api.report_results = [](const google::protobuf::Struct&, std::int64_t) { return absl::OkStatus(); };
  api.report_backlog = [](const std::optional<agent::Backlog>&) { return absl::OkStatus(); };
  agent::Shipper shipper(dir, *OpenFile(dir.log(), O_RDWR), transport, std::move(api), {}, clock);
  const Measurement measurement;
  Require(shipper.Run({}));
  measurement.Print(megabytes);
  std::filesystem::remove_all(root);
}

void Produce(const config::v1::Kafka& settings, int megabytes) {
  std::vector<std::string> records;
  const std::string text = Lines(static_cast<std::size_t>(megabytes) * 1'000'000);
  for (std::size_t at = 0; at < text.size(); at += 65536)
    records.push_back(Record(static_cast<std::int64_t>(at), absl::string_view(text).substr(at, 65536)));
  std::atomic<std::size_t> delivered{0};
  kafka::ProducerEvents events;
  events.delivered = [&](std::int64_t, const absl::Status& status) {
    Require(status);
    ++delivered;
  };
  auto producer = kafka::Producer::Make(settings, settings.topic(), std::move(events));
  Require(producer.status());
  const Measurement measurement;
  for (const std::string& record : records)
    while (absl::IsResourceExhausted((*producer)->Produce(0, kLog.job_uid, record, 0)))
      Pause({}, absl::Milliseconds(1));
  while (delivered < records.size()) Pause({}, absl::Milliseconds(1));
  measurement.Print(megabytes);
}

void Store(const config::v1::Kafka& settings, int megabytes, const std::string& dir) {
  const SystemClock clock;
  prometheus::Registry registry;
  loghandler::LogMetrics metrics(registry);
  loghandler::StoreOptions options;
  options.dir = dir;
  auto store = loghandler::Store::Open(options, clock, metrics);
  Require(store.status());
  loghandler::IngestCore core(**store, metrics);
  loghandler::PartitionOwners owners([](absl::string_view) { return 0; });
  loghandler::PartitionConsumerOptions partitions;
  partitions.kafka = settings;
  partitions.group = "bench";
  partitions.store_dir = dir;
  const auto bytes = static_cast<std::int64_t>(megabytes) * 1'000'000;
  const Measurement measurement;
  {
    loghandler::PartitionConsumer consumer(partitions, **store, core, owners, metrics, clock);
    while ((*(*store)->Get(kLog))->state().durable_offset < bytes) Pause({}, absl::Milliseconds(1));
    measurement.Print(megabytes);
  }
  (*store)->Stop();
}

void Consume(const config::v1::Kafka& settings, int megabytes) {
  auto consumer = kafka::Consumer::Alone(settings, "bench");
  Require(consumer.status());
  const auto marks = (*consumer)->QueryWatermarks(0, kTimeout);
  Require(marks.status());
  const Measurement measurement;
  Require((*consumer)->Assign({{0, 0}}));
  for (std::int64_t next = 0; next < marks->next;) {
    const kafka::Polled polled = (*consumer)->Poll(absl::Seconds(1));
    if (const auto* record = std::get_if<kafka::Record>(&polled)) next = record->position() + 1;
  }
  measurement.Print(megabytes);
}

int Main(int argc, char** argv) {
  int megabytes = 0;
  if (argc < 5 || !absl::SimpleAtoi(argv[4], &megabytes)) {
    std::fprintf(stderr, "usage: log_path ship|produce|store|consume BROKERS TOPIC MEGABYTES [DIR]\n");
    return 2;
  }
  const std::string what = argv[1];
  config::v1::Kafka settings;
  settings.set_brokers(argv[2]);
  settings.set_topic(argv[3]);
  settings.set_partitions(1);
  const auto complete = kafka::Complete(settings);
  Require(complete.status());
  Require(kafka::CreateTopics(*complete, kTimeout));
  if (what == "ship") Ship(*complete, megabytes);
  if (what == "produce") Produce(*complete, megabytes);
  if (what == "store") Store(*complete, megabytes, argc > 5 ? argv[5] : ".");
  if (what == "consume") Consume(*complete, megabytes);
  return 0;
}

}  // namespace
}  // namespace riseml

int main(int argc, char** argv) { return riseml::Main(argc, argv); }
