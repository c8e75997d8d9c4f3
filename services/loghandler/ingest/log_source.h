// The port between the ingest core and where log records come from.
#pragma once

#include <cstdint>
#include <string>

#include "services/loghandler/store/stream.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// A source hands records to IngestCore::Take and hears what became of them. There are two kinds.
//
// A source that answers has producers that keep their bytes until it acknowledges them. It tells the producers where to
// go on, and has no positions.
//
// A source that seeks numbers its records and can read them again, e.g. a partition of a message log. The store keeps
// the position up to which everything is durable.
//
// Functions must not block; they may be called by any thread.
class LogSource {
 public:
  virtual ~LogSource() = default;

  // Name under which the store keeps the position of this source; empty for a source that answers.
  virtual const std::string& name() const = 0;

  // A record was not stored because bytes before it are missing: the stream needs the bytes from `expected_offset` on.
  // Called from within Take. The source delivers these bytes again: it answers the producer, or seeks.
  virtual void GoBack(const StreamId& stream, std::int64_t expected_offset) = 0;

  // More of a stream is durable, or its end could not be stored. A record that got kWait can be handed in again.
  virtual void OnDurable(const Stream& stream) = 0;

  // Everything before `position` is durable, and so is the position itself. Only for sources with a name.
  virtual void OnPosition(std::int64_t position) = 0;
};

}  // namespace riseml::loghandler
