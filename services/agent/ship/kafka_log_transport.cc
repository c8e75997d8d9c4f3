#include "services/agent/ship/kafka_log_transport.h"

#include <deque>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/common/base/mutex.h"
#include "services/common/base/status_macros.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"

namespace riseml::agent {
namespace {

// Errors of Kafka concern all logs, and pass once the installation is mended: none is a refusal of this log, which
// would be given up in the end.
absl::Status Passing(const absl::Status& status) { return absl::UnavailableError(status.message()); }

class KafkaLogCall final : public LogCall {
 public:
  KafkaLogCall(const AttemptId& stream, int partition, std::int64_t acknowledged, std::function<void()> on_change)
      : partition_(partition), on_change_(std::move(on_change)) {
    record_.set_job_uid(stream.job_uid);
    record_.set_attempt(stream.attempt);
    MutexLock lock(mu_);
    progress_.expected_offset = acknowledged;  // not an answer: whether a broker can be reached is not known yet
  }

  absl::Status Start(const config::v1::Kafka& settings) {
    kafka::ProducerEvents events;
    events.delivered = [this](std::int64_t tag, const absl::Status& status) { OnDelivered(tag, status); };
    events.broken = [this](const absl::Status& status) { End(status); };
    RISEML_ASSIGN_OR_RETURN(producer_, kafka::Producer::Make(settings, settings.topic(), std::move(events)));
    return absl::OkStatus();
  }

  bool CanSend() override {
    if (!waiting_.empty()) Enqueue();
    MutexLock lock(mu_);
    return waiting_.empty() && !progress_.over.has_value();
  }

  void Send(const v1::IngestRequest& request) override {
    std::int64_t end = 0;
    if (request.has_end()) {
      *record_.mutable_end() = request.end();
      end = request.end().final_offset();
    } else {
      *record_.mutable_block() = request.block();
      end = request.block().first_offset() + request.block().raw_length();
    }
    waiting_ = record_.SerializeAsString();
    {
      MutexLock lock(mu_);
      under_way_.push_back({end, request.has_end()});
    }
    Enqueue();
  }

  IngestProgress Progress() override {
    MutexLock lock(mu_);
    return progress_;
  }

 private:
  struct Part {
    std::int64_t end = 0;  // offset
    bool last = false;     // it is the end of the log
  };

  // Hands the waiting record over. It stays while the queue is full; the next delivery makes room.
  void Enqueue() {
    const absl::Status status = producer_->Produce(partition_, record_.job_uid(), waiting_, next_tag_);
    if (absl::IsResourceExhausted(status)) return;
    waiting_.clear();
    ++next_tag_;
    if (!status.ok()) End(status);
  }

  // Reports come in the order of the records, as all are in one partition.
  void OnDelivered(std::int64_t tag, const absl::Status& status) {
    if (!status.ok()) return End(status);
    {
      MutexLock lock(mu_);
      if (progress_.over.has_value() || tag != first_tag_ || under_way_.empty()) {
        if (!progress_.over.has_value())
          progress_.over = absl::AbortedError("store the log in Kafka: records were acknowledged out of order");
      } else {
        const Part part = under_way_.front();
        under_way_.pop_front();
        ++first_tag_;
        progress_.complete = part.last;
        if (part.end > *progress_.expected_offset) {
          progress_.expected_offset = part.end;
          ++progress_.answers;
        }
      }
    }
    on_change_();
  }

  void End(const absl::Status& status) {
    {
      MutexLock lock(mu_);
      if (!progress_.over.has_value()) progress_.over = Passing(status);
    }
    on_change_();
  }

  const int partition_;
  const std::function<void()> on_change_;
  internal::v1::LogRecord record_;
  std::string waiting_;  // serialised; empty: the queue has taken it
  std::int64_t next_tag_ = 0;
  Mutex mu_;
  IngestProgress progress_ ABSL_GUARDED_BY(mu_);
  std::deque<Part> under_way_ ABSL_GUARDED_BY(mu_);  // the first one has first_tag_
  std::int64_t first_tag_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<kafka::Producer> producer_;  // last: its callbacks use the rest
};

}  // namespace

KafkaLogTransport::KafkaLogTransport(std::function<absl::StatusOr<config::v1::Kafka>()> settings, AttemptId stream)
    : settings_(std::move(settings)), stream_(std::move(stream)) {}

std::unique_ptr<LogCall> KafkaLogTransport::Open(std::int64_t acknowledged, std::function<void()> on_change) {
  absl::StatusOr<config::v1::Kafka> settings = settings_();
  if (settings.ok()) settings = kafka::Complete(*std::move(settings));
  if (!settings.ok()) return std::make_unique<FailedCall>(Passing(settings.status()));
  auto call = std::make_unique<KafkaLogCall>(stream_, kafka::PartitionOf(stream_.job_uid, settings->partitions()),
                                             acknowledged, std::move(on_change));
  if (const absl::Status started = call->Start(*settings); !started.ok())
    return std::make_unique<FailedCall>(Passing(started));
  return call;
}

}  // namespace riseml::agent
