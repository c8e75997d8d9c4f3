#include "services/loghandler/store/ingest.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::loghandler {

IngestDecision DecideBlock(const Position& at, std::int64_t first_offset, std::int64_t raw_length) {
  const std::int64_t end = first_offset + raw_length;
  if (end <= at.next_offset) return {IngestAction::kDuplicate};
  if (at.final_offset.has_value())
    return {IngestAction::kRefuse, 0,
            Error(Reason::kOffsetMismatch, absl::StrCat("log block at offset ", first_offset, " reaches ", end,
                                                        ", but the log has ended at ", *at.final_offset))};
  if (first_offset > at.next_offset) return {IngestAction::kGoBack};
  if (first_offset < at.next_offset) return {IngestAction::kTrim, at.next_offset - first_offset};
  return {IngestAction::kStore};
}

IngestDecision DecideEnd(const Position& at, std::int64_t final_offset) {
  if (at.final_offset == final_offset) return {IngestAction::kDuplicate};
  if (final_offset < at.next_offset || at.final_offset.has_value())
    return {IngestAction::kRefuse, 0,
            Error(Reason::kOffsetMismatch,
                  absl::StrCat("end of log at ", final_offset, ", but ", at.next_offset, " bytes are stored already"))};
  if (final_offset > at.next_offset) return {IngestAction::kGoBack};
  return {IngestAction::kStore};
}

}  // namespace riseml::loghandler
