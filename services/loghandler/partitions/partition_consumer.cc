#include "services/loghandler/partitions/partition_consumer.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"

namespace riseml::loghandler {
namespace {

constexpr std::int64_t kMaxWaitingBytes = 16 << 20;
constexpr int kRecordsPerTurn = 64;
constexpr int kMissingForGood = 3;  // tries in a row that do not find the topic
constexpr absl::Duration kAskTimeout = absl::Seconds(2);
constexpr absl::Duration kIdlePoll = absl::Milliseconds(50);
constexpr absl::Duration kDiskPause = absl::Milliseconds(2);
constexpr absl::Duration kErrorPause = absl::Milliseconds(100);
constexpr absl::Duration kReportInterval = absl::Seconds(1);
constexpr absl::Duration kFirstPause = absl::Milliseconds(200);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

}  // namespace

PartitionConsumer::PartitionConsumer(PartitionConsumerOptions options, Store& store, IngestCore& core,
                                     PartitionOwners& owners, LogMetrics& metrics, const Clock& clock)
    : options_(std::move(options)),
      store_(store),
      core_(core),
      owners_(owners),
      metrics_(metrics),
      clock_(clock),
      claims_(options_.store_dir, options_.kafka.topic()) {
  if (IsSole()) {
    // Nobody else can use the directory, whether Kafka can be reached or not.
    std::set<int> all;
    for (int number = 0; number < options_.kafka.partitions(); ++number) all.insert(number);
    owners_.SetMine(std::move(all));
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

PartitionConsumer::~PartitionConsumer() = default;  // the thread goes first

void PartitionConsumer::Run(const std::stop_token& stop) {
  absl::Duration pause = kFirstPause;
  while (!stop.stop_requested()) {
    const absl::Time begin = clock_.Now();
    const absl::Status status = Session(stop);
    GiveUp();
    consumer_.reset();
    if (stop.stop_requested()) break;
    LogWarning("log_partitions_interrupted", {{"error", status.message()}});
    if (clock_.Now() - begin > kLongestPause) pause = kFirstPause;
    Pause(stop, pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

// Reads until something needs a new consumer.
absl::Status PartitionConsumer::Session(const std::stop_token& stop) {
  const absl::Status topic = kafka::CheckTopic(options_.kafka, kAskTimeout);
  // A broker that has just started might not know its topics at once. One that is missing for longer is a new one when
  // it comes back.
  missing_ = absl::IsNotFound(topic) ? missing_ + 1 : 0;
  topic_was_missing_ = topic_was_missing_ || missing_ >= kMissingForGood;
  if (!topic.ok()) return topic;
  if (dead_letters_ == nullptr) {
    RISEML_ASSIGN_OR_RETURN(dead_letters_, DeadLetters::Make(options_.kafka));
  }
  RISEML_RETURN_IF_ERROR(Connect());
  while (!stop.stop_requested()) {
    RISEML_RETURN_IF_ERROR(Poll(stop));
    RISEML_RETURN_IF_ERROR(taken_);
    for (auto& [number, partition] : partitions_) RISEML_RETURN_IF_ERROR(Drain(number, partition));
    BeginPasses();
    const absl::Time now = clock_.Now();
    if (now >= next_report_) Report();
    if (now >= next_look_) LookAtOwners();
  }
  return absl::OkStatus();
}

absl::Status PartitionConsumer::Connect() {
  taken_ = absl::OkStatus();
  if (!IsSole()) {
    kafka::Membership membership;
    membership.group = options_.group;
    membership.instance = options_.claim.instance();
    membership.assigned = [this](const std::vector<int>& partitions) { return Take(partitions); };
    membership.revoked = [this] { GiveUp(); };
    RISEML_ASSIGN_OR_RETURN(consumer_, kafka::Consumer::Join(options_.kafka, std::move(membership)));
    return absl::OkStatus();
  }
  RISEML_ASSIGN_OR_RETURN(consumer_, kafka::Consumer::Alone(options_.kafka, options_.group));
  std::vector<int> all(options_.kafka.partitions());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  const std::map<int, std::int64_t> positions = Take(all);
  RISEML_RETURN_IF_ERROR(taken_);
  return consumer_->Assign(positions);
}

absl::StatusOr<kafka::Watermarks> PartitionConsumer::Ask(int number) {
  return consumer_->QueryWatermarks(number, kAskTimeout);
}

// Claims partitions. Returns where each of them begins.
std::map<int, std::int64_t> PartitionConsumer::Take(const std::vector<int>& partitions) {
  std::map<int, std::int64_t> positions;
  std::set<int> mine;
  for (const int number : partitions) {
    std::int64_t position = 0;
    taken_ = TakeOne(number, &position);
    if (!taken_.ok()) return {};
    positions[number] = position;
    mine.insert(number);
  }
  topic_was_missing_ = false;
  // Objects of these streams may be older than what another log handler has stored meanwhile.
  if (!IsSole()) store_.Release([&](const StreamId& id) { return mine.contains(owners_.PartitionOf(id)); });
  metrics_.partitions.Set(static_cast<double>(mine.size()));
  LogInfo("log_partitions_taken", {{"partitions", mine.size()}});
  owners_.SetMine(std::move(mine));
  if (options_.on_owners_changed) options_.on_owners_changed();
  return positions;
}

absl::Status PartitionConsumer::TakeOne(int number, std::int64_t* position) {
  RISEML_ASSIGN_OR_RETURN(const kafka::Watermarks marks, Ask(number));
  internal::v1::PartitionClaim claim = options_.claim;
  claim.mutable_claimed_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
  RISEML_ASSIGN_OR_RETURN(const ClaimedPartition claimed, claims_.Claim(number, claim));
  RISEML_RETURN_IF_ERROR(store_.Position(claimed.source).status());
  Partition& partition = partitions_[number];
  partition = Partition();
  partition.reader = std::make_unique<PartitionReader>(
      claimed.source, claimed.position, core_,
      [this, number](std::int64_t at, absl::string_view bytes, const absl::Status& why) {
        dead_letters_->Put(number, at, bytes, why);
      },
      metrics_, options_.reader);
  if (claimed.position == 0) {
    partition.reader->SkipTo(marks.oldest);  // nobody has read this partition yet
  } else if (IsLost(claimed.position, marks)) {
    RISEML_RETURN_IF_ERROR(Restart(number, partition, marks));
  } else if (claimed.position > marks.oldest) {
    partition.last_crc = claimed.last_crc;
  }
  *position = partition.reader->next() - (partition.last_crc != 0 ? 1 : 0);
  return absl::OkStatus();
}

bool PartitionConsumer::IsLost(std::int64_t position, const kafka::Watermarks& marks) const {
  return topic_was_missing_ || position < marks.oldest || position > marks.next;
}

// Goes on at the oldest record: the next one has been removed, or the topic is another one.
absl::Status PartitionConsumer::Restart(int number, Partition& partition, const kafka::Watermarks& marks) {
  const std::string source = partition.reader->name();
  const std::int64_t wanted = partition.reader->next();
  metrics_.position_resets.Increment();
  LogError("log_position_lost", {{"partition", number},
                                 {"position", wanted},
                                 {"oldest", marks.oldest},
                                 {"next", marks.next},
                                 {"lost_records", std::max<std::int64_t>(0, marks.oldest - wanted)}});
  partition.reader.reset();
  RISEML_RETURN_IF_ERROR(store_.ResetPosition(source, marks.oldest));
  partition.reader = std::make_unique<PartitionReader>(
      source, marks.oldest, core_,
      [this, number](std::int64_t at, absl::string_view bytes, const absl::Status& why) {
        dead_letters_->Put(number, at, bytes, why);
      },
      metrics_, options_.reader);
  return absl::OkStatus();
}

void PartitionConsumer::GiveUp() {
  if (partitions_.empty()) return;
  std::set<int> gone;
  for (const auto& [number, partition] : partitions_) gone.insert(number);
  if (!IsSole()) owners_.SetMine({});
  partitions_.clear();
  waiting_bytes_ = 0;
  metrics_.partitions.Set(0);
  metrics_.lag_records.Set(0);
  if (!IsSole()) store_.Release([&](const StreamId& id) { return gone.contains(owners_.PartitionOf(id)); });
  LogInfo("log_partitions_given_up", {{"partitions", gone.size()}});
  next_look_ = absl::InfinitePast();
}

absl::Status PartitionConsumer::Poll(const std::stop_token& stop) {
  bool any = false;
  for (const auto& [number, partition] : partitions_) any = any || !partition.waiting.empty();
  if (waiting_bytes_ >= kMaxWaitingBytes) {
    Pause(stop, kDiskPause);  // everything waits for the disk
    return absl::OkStatus();
  }
  kafka::Polled polled = consumer_->Poll(any ? kDiskPause : kIdlePoll);
  for (int i = 0; i < kRecordsPerTurn && std::holds_alternative<kafka::Record>(polled); ++i) {
    Receive(std::move(std::get<kafka::Record>(polled)));
    polled = consumer_->Poll(absl::ZeroDuration());
  }
  if (auto* record = std::get_if<kafka::Record>(&polled)) Receive(std::move(*record));
  if (const auto* lost = std::get_if<kafka::PositionLost>(&polled)) {
    const auto it = partitions_.find(lost->partition);
    if (it == partitions_.end()) return absl::OkStatus();
    RISEML_ASSIGN_OR_RETURN(const kafka::Watermarks marks, Ask(lost->partition));
    if (IsLost(it->second.reader->next(), marks)) RISEML_RETURN_IF_ERROR(Restart(lost->partition, it->second, marks));
    return SeekTo(lost->partition, it->second);
  }
  if (const auto* error = std::get_if<absl::Status>(&polled)) {
    const absl::Status topic = kafka::CheckTopic(options_.kafka, kAskTimeout);
    if (topic.ok() && !absl::IsAborted(*error)) {
      // Said once, until something is received again: each partition may fail several times a second.
      if (told_errors_.insert(error->code()).second) LogWarning("log_partitions_error", {{"error", error->message()}});
      return absl::OkStatus();
    }
    return topic.ok() ? *error : topic;
  }
  return absl::OkStatus();
}

void PartitionConsumer::Receive(kafka::Record record) {
  const auto it = partitions_.find(record.partition());
  if (it == partitions_.end()) return;
  told_errors_.clear();
  waiting_bytes_ += static_cast<std::int64_t>(record.value().size());
  it->second.waiting.push_back(std::move(record));
}

// The first record tells whether the partition is still the one that was read before.
absl::Status PartitionConsumer::Compare(int number, Partition& partition, const kafka::Record& record) {
  const std::uint32_t last_crc = std::exchange(partition.last_crc, 0);
  if (record.position() != partition.reader->next() - 1 || Crc32c(record.value()) == last_crc) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const kafka::Watermarks marks, Ask(number));
  RISEML_RETURN_IF_ERROR(Restart(number, partition, marks));
  return SeekTo(number, partition);
}

absl::Status PartitionConsumer::Drain(int number, Partition& partition) {
  const absl::Time now = clock_.Now();
  if (now < partition.retry_at) return absl::OkStatus();
  while (!partition.waiting.empty()) {
    if (partition.last_crc != 0) {
      RISEML_RETURN_IF_ERROR(Compare(number, partition, partition.waiting.front()));
      continue;
    }
    const kafka::Record& record = partition.waiting.front();
    PartitionReader& reader = *partition.reader;
    if (record.position() == reader.next()) partition.seeking = false;
    if (record.position() > reader.next() && !partition.seeking) {
      LogError("log_records_skipped", {{"source", reader.name()}, {"from", reader.next()}, {"to", record.position()}});
      reader.SkipTo(record.position());
    }
    if (record.position() == reader.next()) {
      const PartitionReader::Step step = reader.Take(record.value(), now);
      if (step != PartitionReader::Step::kNext) {
        partition.retry_at = now + (step == PartitionReader::Step::kWait ? kDiskPause : kErrorPause);
        return absl::OkStatus();
      }
    }
    waiting_bytes_ -= static_cast<std::int64_t>(record.value().size());
    partition.waiting.pop_front();
  }
  return absl::OkStatus();
}

absl::Status PartitionConsumer::SeekTo(int number, Partition& partition) {
  for (const kafka::Record& record : partition.waiting)
    waiting_bytes_ -= static_cast<std::int64_t>(record.value().size());
  partition.waiting.clear();
  partition.seeking = true;
  return consumer_->Seek(number, partition.reader->next());
}

void PartitionConsumer::BeginPasses() {
  const absl::Time now = clock_.Now();
  for (auto& [number, partition] : partitions_) {
    std::optional<std::int64_t> from = partition.reader->WantedPass(now);
    if (!from.has_value()) continue;
    const std::int64_t before = partition.reader->next();
    if (*from == PartitionReader::kOldest) {
      const auto marks = Ask(number);
      if (!marks.ok()) continue;  // it is wanted again
      from = marks->oldest;
    }
    partition.reader->BeginPass(*from);
    if (partition.reader->next() == before) continue;
    LogInfo("log_partition_read_again", {{"partition", number}, {"from", partition.reader->next()}, {"to", before}});
    if (const absl::Status status = SeekTo(number, partition); !status.ok()) taken_ = status;  // ends the session
  }
}

void PartitionConsumer::Report() {
  next_report_ = clock_.Now() + kReportInterval;
  std::map<int, std::int64_t> positions;
  std::int64_t lag = 0;
  for (auto& [number, partition] : partitions_) {
    const std::int64_t durable = partition.reader->durable_position();
    lag += std::max<std::int64_t>(0, consumer_->LastWatermarks(number).next - durable);
    if (durable == partition.committed) continue;
    partition.committed = positions[number] = durable;
  }
  metrics_.lag_records.Set(static_cast<double>(lag));
  consumer_->Commit(positions);
}

void PartitionConsumer::LookAtOwners() {
  next_look_ = clock_.Now() + options_.look_at_owners;
  if (IsSole()) return;
  const auto owners = claims_.Owners();
  if (!owners.ok()) {
    LogWarning("log_owners_unknown", {{"error", owners.status().message()}});
    return;
  }
  std::map<int, std::string> others;
  for (const auto& [number, owner] : *owners)
    if (owner.claim.instance() != options_.claim.instance()) others[number] = owner.claim.address();
  if (others == others_) return;
  others_ = others;
  owners_.SetOthers(std::move(others));
  if (options_.on_owners_changed) options_.on_owners_changed();
}

}  // namespace riseml::loghandler
