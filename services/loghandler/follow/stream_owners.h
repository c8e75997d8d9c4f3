// Port that says which log handler owns a stream, i.e. takes its records and shows its log.
#pragma once

#include <string>

#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// Thread-safe. A change is noticed by an open Follow call when the stream next has news.
class StreamOwners {
 public:
  virtual ~StreamOwners() = default;
  // Address of the owner for users, "host:port"; empty: this process, or not known. Must not block.
  virtual std::string OwnerOf(const StreamId& id) const = 0;
  // True if this process owns the stream: it may store records of it, and says how it has ended.
  virtual bool Owns(const StreamId& id) const { return OwnerOf(id).empty(); }
};

// This process owns all streams.
class SoleOwner final : public StreamOwners {
 public:
  std::string OwnerOf(const StreamId&) const override { return ""; }
};

}  // namespace riseml::loghandler
