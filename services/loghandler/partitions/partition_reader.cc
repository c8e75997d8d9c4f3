#include "services/loghandler/partitions/partition_reader.h"

#include <algorithm>
#include <utility>

#include "services/common/base/crc32c.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {
namespace {

// False for an error that the same record would have for ever.
bool MayPass(const absl::Status& status) {
  return !absl::IsInvalidArgument(status) && !absl::IsFailedPrecondition(status) && !absl::IsDataLoss(status);
}

std::int64_t FirstOffset(const internal::v1::LogRecord& record) {
  return record.has_block() ? record.block().first_offset() : record.end().final_offset();
}

// A gap that could not be stored because the disk is too far behind.
absl::Status Behind() { return absl::CancelledError("the disk is behind"); }

}  // namespace

PartitionReader::PartitionReader(std::string name, std::int64_t position, IngestCore& core, DeadLetter dead_letter,
                                 LogMetrics& metrics, PartitionReaderOptions options)
    : name_(std::move(name)),
      core_(core),
      dead_letter_(std::move(dead_letter)),
      metrics_(metrics),
      options_(options),
      next_(position),
      frontier_(position),
      durable_(position) {
  core_.Connect(*this);
}

PartitionReader::~PartitionReader() { core_.Disconnect(*this); }

PartitionReader::Step PartitionReader::Take(absl::string_view bytes, absl::Time now) {
  internal::v1::LogRecord record;
  const bool sound = record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const bool first_time = next_ >= frontier_;
  crc_ = Crc32c(bytes);
  if (!sound) {
    if (!first_time) return Advance();
    return Refuse(bytes, Error(Reason::kInvalidArgument, "the record cannot be decoded"));
  }
  const StreamId id{record.job_uid(), record.attempt()};
  const auto it = parked_.find(id);
  Parked* parked = it == parked_.end() ? nullptr : &it->second;
  if (!first_time && parked == nullptr) return Advance();
  const absl::StatusOr<Taken> taken = TakeOrFill(record, parked);
  if (absl::IsCancelled(taken.status())) return Step::kWait;
  if (!taken.ok() && MayPass(taken.status())) return Step::kRetry;
  if (!taken.ok()) return Refuse(bytes, taken.status());
  if (taken->action == IngestAction::kWait) return Step::kWait;
  const bool ahead = taken->action == IngestAction::kGoBack;
  if (ahead && parked == nullptr) {
    parked_[id] = Parked{.position = next_, .since = now};
    LogWarning("log_bytes_missing", {{"log", Print(id)},
                                     {"source", name_},
                                     {"position", next_},
                                     {"expected", expected_offset_},
                                     {"found", FirstOffset(record)}});
  } else if (parked != nullptr && ahead) {
    if (!parked->ahead) parked->position = next_;  // its records before this one are done with
    parked->ahead = true;
  } else if (parked != nullptr && next_ == parked->position) {
    parked->ahead = false;
  } else if (parked != nullptr && first_time && taken->action != IngestAction::kDuplicate) {
    wanted_ = Pass::kReturn;  // bytes that were missed have come after all, behind records that need them
  }
  return Advance();
}

absl::StatusOr<Taken> PartitionReader::TakeOrFill(const internal::v1::LogRecord& record, Parked* parked) {
  RISEML_ASSIGN_OR_RETURN(Taken taken, core_.Take(*this, record, next_, crc_));
  if (taken.action != IngestAction::kGoBack || parked == nullptr || !parked->given_up) return taken;
  RISEML_RETURN_IF_ERROR(FillGap(record, expected_offset_));
  return core_.Take(*this, record, next_, crc_);
}

// Stores the bytes between `from` and the record as lost.
absl::Status PartitionReader::FillGap(const internal::v1::LogRecord& record, std::int64_t from) {
  internal::v1::LogRecord gap;
  gap.set_job_uid(record.job_uid());
  gap.set_attempt(record.attempt());
  gap.mutable_block()->set_first_offset(from);
  gap.mutable_block()->set_raw_length(FirstOffset(record) - from);
  gap.mutable_block()->set_coding(v1::LogBlock::GAP);
  RISEML_ASSIGN_OR_RETURN(const Taken taken, core_.Take(*this, gap));
  if (taken.action == IngestAction::kWait) return Behind();
  metrics_.lost_bytes.Increment(static_cast<double>(gap.block().raw_length()));
  LogError("log_bytes_lost", {{"job", record.job_uid()},
                              {"attempt", record.attempt()},
                              {"from", from},
                              {"to", FirstOffset(record)},
                              {"source", name_}});
  return absl::OkStatus();
}

PartitionReader::Step PartitionReader::Refuse(absl::string_view bytes, const absl::Status& why) {
  metrics_.dead_letters.Increment();
  LogError("log_record_refused", {{"source", name_}, {"position", next_}, {"error", why.message()}});
  dead_letter_(next_, bytes, why);
  core_.PassOver(*this, next_, crc_);
  return Advance();
}

PartitionReader::Step PartitionReader::Advance() {
  ++next_;
  if (next_ >= frontier_) frontier_crc_ = crc_;
  if (pass_ != Pass::kNone && next_ >= frontier_) EndPass();
  frontier_ = std::max(frontier_, next_);
  return Step::kNext;
}

void PartitionReader::EndPass() {
  for (auto it = parked_.begin(); it != parked_.end();) {
    Parked& parked = it->second;
    if (pass_ == Pass::kSearch) parked.searched = true;
    if (parked.ahead) {
      ++it;
    } else {
      parked_.erase(it++);
    }
  }
  pass_ = Pass::kNone;
  // While a stream is parked, the position stays before its record.
  if (parked_.empty()) core_.PassOver(*this, frontier_ - 1, frontier_crc_);
}

std::optional<std::int64_t> PartitionReader::WantedPass(absl::Time now) {
  if (pass_ != Pass::kNone || parked_.empty()) return std::nullopt;
  bool search = false, give_up = false;
  std::int64_t first = frontier_;
  for (auto& [id, parked] : parked_) {
    first = std::min(first, parked.position);
    search = search || (!parked.searched && now - parked.since >= options_.search_delay);
    if (parked.searched && (now - parked.since >= options_.patience || parked_.size() > options_.most_parked))
      give_up = parked.given_up = true;
  }
  if (search) {
    wanted_ = Pass::kSearch;
    return kOldest;
  }
  if (give_up) wanted_ = Pass::kReturn;
  if (wanted_ != Pass::kReturn) return std::nullopt;
  return first;
}

void PartitionReader::BeginPass(std::int64_t position) {
  pass_ = std::exchange(wanted_, Pass::kNone);
  next_ = std::min(position, frontier_);
  if (next_ >= frontier_) EndPass();
}

void PartitionReader::SkipTo(std::int64_t position) {
  if (position <= next_) return;
  next_ = position;
  // What was parked before it is gone, too.
  for (auto it = parked_.begin(); it != parked_.end();) {
    if (it->second.position >= position) {
      ++it;
      continue;
    }
    core_.PassOver(*this, it->second.position);
    parked_.erase(it++);
  }
  if (pass_ != Pass::kNone && next_ >= frontier_) EndPass();
  if (next_ > frontier_) {
    frontier_ = next_;
    frontier_crc_ = 0;
    core_.PassOver(*this, next_ - 1);
  }
}

}  // namespace riseml::loghandler
