#include "services/loghandler/ingest/ingest_core.h"

#include <utility>

#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {

IngestCore::IngestCore(Store& store, LogMetrics& metrics) : store_(store), metrics_(metrics) {
  store_.AddListener([this](const Stream& stream) {
    MutexLock lock(sources_mu_);
    for (LogSource* source : sources_) source->OnDurable(stream);
  });
  store_.AddPositionListener([this](const std::string& name, std::int64_t position) {
    MutexLock lock(sources_mu_);
    for (LogSource* source : sources_) {
      if (source->name() == name) source->OnPosition(position);
    }
  });
}

void IngestCore::Connect(LogSource& source) {
  MutexLock lock(sources_mu_);
  sources_.push_back(&source);
}

void IngestCore::Disconnect(LogSource& source) {
  {
    MutexLock lock(sources_mu_);
    std::erase(sources_, &source);
  }
  MutexLock lock(mu_);
  held_.erase(source.name());
}

absl::StatusOr<Taken> IngestCore::Put(const internal::v1::LogRecord& record) {
  RISEML_ASSIGN_OR_RETURN(std::shared_ptr<Stream> stream,
                          store_.Get({record.job_uid(), static_cast<int>(record.attempt())}));
  absl::StatusOr<AppendResult> result;
  switch (record.part_case()) {
    case internal::v1::LogRecord::kBlock:
      result = store_.Append(stream, record.block());
      break;
    case internal::v1::LogRecord::kEnd:
      result = store_.End(stream, record.end().final_offset());
      break;
    case internal::v1::LogRecord::PART_NOT_SET:
      return Error(Reason::kInvalidArgument, "log record without a block or an end");
  }
  RISEML_RETURN_IF_ERROR(result.status());
  return Taken{result->action, std::move(stream)};
}

absl::StatusOr<Taken> IngestCore::Take(LogSource& source, const internal::v1::LogRecord& record,
                                       std::optional<std::int64_t> position, std::uint32_t crc) {
  absl::StatusOr<Taken> taken = Put(record);
  if (!taken.ok() && record.has_block()) metrics_.refused_blocks.Increment();
  const bool back = taken.ok() && taken->action == IngestAction::kGoBack;
  if (position.has_value()) {
    const bool done = taken.ok() && !back && taken->action != IngestAction::kWait;
    Settle(source, *position, done, crc);
  }
  if (back) source.GoBack(taken->stream->id(), taken->stream->state().next_offset);
  return taken;
}

void IngestCore::PassOver(LogSource& source, std::int64_t position, std::uint32_t crc) {
  Settle(source, position, true, crc);
}

void IngestCore::Settle(const LogSource& source, std::int64_t position, bool done, std::uint32_t crc) {
  MutexLock lock(mu_);
  const auto held = held_.find(source.name());
  if (held == held_.end()) {
    if (!done) {
      held_.emplace(source.name(), position);
      return;
    }
  } else {
    // Records behind an unfinished one count only after it is done; the source reads them again.
    if (position > held->second) return;
    if (!done) {
      held->second = position;
      return;
    }
    if (position == held->second) held_.erase(held);
  }
  store_.NotePosition(source.name(), position + 1, crc);
}

}  // namespace riseml::loghandler
