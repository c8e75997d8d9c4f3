// Decides about a block or an end marker, given the state of its stream. Any number of repeats of any blocks makes
// exactly one copy on disk. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"

namespace riseml::loghandler {

struct Position {
  std::int64_t next_offset = 0;                // first byte not stored
  std::optional<std::int64_t> final_offset{};  // set once the end marker is stored
};

enum class IngestAction {
  kStore,      // as it is
  kTrim,       // store without its first `skip` bytes
  kDuplicate,  // all of it is stored; nothing to do
  kGoBack,     // bytes before it are missing: the source has to bring them again
  kWait,       // nothing was done, since the disk is too far behind: hand it in again when more is durable
  kRefuse,     // contradicts what is stored; `refusal` says how
};

struct IngestDecision {
  IngestAction action = IngestAction::kRefuse;
  std::int64_t skip = 0;
  absl::Status refusal;
};

// `first_offset` and `raw_length` have passed CheckBlock.
IngestDecision DecideBlock(const Position& at, std::int64_t first_offset, std::int64_t raw_length);

// kStore, kDuplicate, kGoBack or kRefuse.
IngestDecision DecideEnd(const Position& at, std::int64_t final_offset);

}  // namespace riseml::loghandler
